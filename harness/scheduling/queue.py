"""Which trial runs next, and what became of those that ran. Pure: its actor is in `harness.cluster.outbox_queue`.

Worker groups lease trials one at a time. A lease names its trial, its attempt and its group; whatever comes with
another attempt or from another group is refused: a group given up for dead cannot write into its heir's record.

Where a network breaks for a moment nobody knows whether a call arrived, and Ray makes it again. So every call may come
twice: the second time it changes nothing and answers the same.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from harness.events import EpochEnded, Event, TrialEnded
from harness.scheduling.types import GroupStats, Job, Lease, LeaseLost, Limits, Running, Shape, Snapshot
from harness.schema import Outcome

_Jobs = OrderedDict[str, Job]


class Waiting:
    """A line of jobs for each shape; in it, a line for each cell."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._of_shape: dict[Shape, _Jobs] = {}
        self._of_cell: dict[tuple[Shape, str], _Jobs] = {}
        self.count = 0
        for job in jobs:
            self._add(job, first=False)

    def take(self, shape: Shape, cell_id: str | None) -> Job | None:
        """The first job of a shape, unless one of this cell waits too: then that one."""
        line = (self._of_cell.get((shape, cell_id)) if cell_id else None) or self._of_shape.get(shape)
        return self._remove(next(iter(line.values()))) if line else None

    def put_back(self, job: Job, *, first: bool) -> None:
        """A job that was taken is the first of its shape and cell again, or the last."""
        self._add(job, first=first)

    def take_all(self, shape: Shape) -> list[Job]:
        """Every job of a shape."""
        return [self._remove(job) for job in list(self._of_shape.get(shape, {}).values())]

    def counts(self) -> dict[Shape, int]:
        """How many jobs of each shape wait, in the order in which the shapes first came."""
        return {shape: len(line) for shape, line in self._of_shape.items() if line}

    def _add(self, job: Job, *, first: bool) -> None:
        for line in self._lines(job):
            line[job.trial.id] = job
            if first:
                line.move_to_end(job.trial.id, last=False)
        self.count += 1

    def _remove(self, job: Job) -> Job:
        for line in self._lines(job):
            del line[job.trial.id]
        self.count -= 1
        return job

    def _lines(self, job: Job) -> tuple[_Jobs, _Jobs]:
        return (
            self._of_shape.setdefault(job.shape, OrderedDict()),
            self._of_cell.setdefault((job.shape, job.trial.cell_id), OrderedDict()),
        )


@dataclass
class _LeasedTrial:
    """A trial in the hands of a group."""

    job: Job
    lease: Lease
    since_s: float
    heard_s: float
    """When it last made progress."""
    progress: int | None = None
    """As the group counts it: only whether it changes matters."""
    epoch: int = 0


@dataclass
class TrialQueue:
    """Every job in exactly one of three places: waiting, leased, or ended.

    Args:
        jobs: in the order in which they should start.
        record: takes every accepted event; must be durable when it returns, since a trial counts as ended after it.
        limits: of each trial.
        clock: in seconds.
        sync: makes what was recorded survive a power cut too.
    """

    jobs: Iterable[Job]
    record: Callable[[Event], None]
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.monotonic
    sync: Callable[[], None] = lambda: None
    stopping: bool = False
    _waiting: Waiting = field(init=False)
    _leased: dict[str, _LeasedTrial] = field(default_factory=dict, init=False)
    _ended: dict[str, TrialEnded] = field(default_factory=dict, init=False)
    _leases_of: Counter[str] = field(default_factory=Counter, init=False)
    _results_of: Counter[str] = field(default_factory=Counter, init=False)
    _tries: Counter[str] = field(default_factory=Counter, init=False)
    _last_cell: dict[str, str] = field(default_factory=dict, init=False)
    _members: dict[str, dict[int, tuple[Any, str]]] = field(default_factory=dict, init=False)
    """Group -> rank -> by what it can be killed, and its node."""
    _losses: dict[str, tuple[Outcome, str]] = field(default_factory=dict, init=False)
    _cost_total: float = field(default=0.0, init=False)
    _cost_ended: float = field(default=0.0, init=False)
    _total: int = field(default=0, init=False)
    _latest: dict[str, Event] = field(default_factory=dict, init=False)
    """The last thing recorded of each group."""
    _last_ms: dict[str, int] = field(default_factory=dict, init=False)
    """When the last thing happened in each trial, by the clock of the host that told it."""

    def __post_init__(self) -> None:
        jobs = list(self.jobs)
        self._waiting = Waiting(jobs)
        self._total, self._cost_total = len(jobs), sum(job.cost for job in jobs)

    def release_leases(self, group: str) -> None:
        """A group starts, or is known to have ended. What it still held was lost with it."""
        outcome, reason = self._losses.pop(group, (Outcome.FAILED, "a worker of its group died"))
        for held in self._held_by(group):
            self.end(group, _ended(held.lease, outcome, reason))

    def note_loss_reason(self, group: str, reason: str, out_of_memory: bool = False) -> None:
        """Why a group is about to end: the reason that its trial gets when it has."""
        self._losses[group] = (Outcome.OUT_OF_MEMORY if out_of_memory else Outcome.FAILED, reason)

    def register_worker(self, group: str, rank: int, member: Any, node: str = "") -> None:
        """A worker says by what it can be killed, and where it is."""
        self._members.setdefault(group, {})[rank] = member, node

    def worker_handles(self, group: str) -> tuple[Any, ...]:
        """By what the workers of a group can be killed."""
        return tuple(member for member, _ in self._members.get(group, {}).values())

    def group_stats(self, group: str) -> GroupStats:
        """What a group has done so far."""
        nodes = frozenset(node for _, node in self._members.get(group, {}).values() if node)
        return GroupStats(leases=self._leases_of[group], results=self._results_of[group], nodes=nodes)

    def lease(self, group: str, shape: Shape) -> Lease | None:
        """The next trial of this shape, None when there is none to start now: the group should end.

        Seeds of one cell follow each other in a group, so that compiled code is reused. A group holds one trial at a
        time: if it asks while it holds one, the answer was lost, and it is given again.
        """
        if self.stopping:
            return None
        for held in self._held_by(group):
            return held.lease
        job = self._waiting.take(shape, self._last_cell.get(group))
        if job is None:
            return None
        self._last_cell[group] = job.trial.cell_id
        self._tries[job.trial.id] += 1
        self._leases_of[group] += 1
        lease = Lease(trial=job.trial, attempt=job.attempts_before + self._tries[job.trial.id], group=group)
        self._leased[job.trial.id] = _LeasedTrial(job, lease, self.clock(), self.clock())
        return lease

    def emit(self, group: str, event: Event) -> None:
        """Record what happens in a leased trial.

        Raises:
            LeaseLost: the group does not hold this attempt.
        """
        if event == self._latest.get(group):
            return
        held = self._find_or_raise(group, event)
        held.heard_s = self.clock()
        if isinstance(event, EpochEnded):
            held.epoch = event.epoch
        self._record_in_order(event)
        self._latest[group] = event

    def flush(self, group: str) -> None:
        """Return when every event is durable. A checkpoint may be written then: nobody sends again what led to it.

        Raises:
            LeaseLost: the group holds no trial, so that nobody should go on from its checkpoint.
        """
        if not self._held_by(group):
            raise LeaseLost(f"{group} holds no trial")
        self.sync()

    def end(self, group: str, ended: TrialEnded) -> None:
        """An attempt ended. The trial of a failed one waits again, until its attempts are used up.

        Raises:
            LeaseLost: the group does not hold this attempt.
        """
        if ended == self._latest.get(group):
            return
        held = self._find_or_raise(group, ended)
        again = ended.outcome is Outcome.FAILED and self._may_retry(ended.trial_id)
        # First the record, which a full disk may refuse: until it is written the trial is still leased.
        self._record_in_order(replace(ended, final=not again))
        self._latest[group] = ended
        del self._leased[ended.trial_id]
        if again:
            # Tried again soon; but not for ever by the same group, if it is the group's fault and the others are busy.
            self._waiting.put_back(held.job, first=self._tries[ended.trial_id] == 1)
        else:
            self._results_of[group] += ended.outcome.is_result
            self._close(held.job, ended)

    def heartbeat(self, group: str, progress: int) -> bool:
        """A group is alive, and has come so far; whether the sweep is stopping."""
        for held in self._held_by(group):
            if held.progress != progress:
                held.progress, held.heard_s = progress, self.clock()
        return self.stopping

    def expire_hung(self) -> tuple[str, ...]:
        """End every trial that hangs; the groups that held one, for whoever can kill them."""
        groups = []
        for held in list(self._leased.values()):
            end = self._overdue(held)
            if end is not None:
                groups.append(held.lease.group)
                self.end(held.lease.group, _ended(held.lease, *end))
        return tuple(groups)

    def stop(self) -> None:
        """Lease nothing more; running trials see it with their next pulse and end at their next checkpoint."""
        self.stopping = True

    def stop_running(self, reason: str) -> None:
        """End every leased trial as stopped: their groups did not answer in time. Nothing is leased afterwards."""
        self.stop()
        for held in list(self._leased.values()):
            self.end(held.lease.group, _ended(held.lease, Outcome.STOPPED, reason))

    def cancel_pending(self, shape: Shape, outcome: Outcome, reason: str) -> None:
        """End every waiting trial of a shape that no group can run."""
        for job in self._waiting.take_all(shape):
            attempt = job.attempts_before + self._tries[job.trial.id]
            ended = TrialEnded(trial_id=job.trial.id, attempt=attempt, outcome=outcome, reason=reason)
            try:
                self._record_in_order(ended)
            except BaseException:
                self._waiting.put_back(job, first=True)
                raise
            self._cost_total -= job.cost  # it took no time, and none is left for it
            self._close(replace(job, cost=0.0), ended)

    def waiting(self) -> dict[Shape, int]:
        """How many trials of each shape wait, dearest shape first."""
        return self._waiting.counts()

    def busy(self) -> frozenset[str]:
        """The groups that hold a trial."""
        return frozenset(held.lease.group for held in self._leased.values())

    def snapshot(self, seen: int = 0) -> Snapshot:
        """The queue now, for the progress display; `seen` ended trials are left out, since the display has them."""
        running = [(held, held.lease.trial.schedule.epochs) for held in self._leased.values()]
        return Snapshot(
            total=self._total,
            waiting=self._waiting.count,
            running=tuple(
                Running(label=held.lease.trial.name, group=held.lease.group, epoch=held.epoch, epochs=epochs)
                for held, epochs in running
            ),
            ended=tuple(islice(self._ended.values(), seen, None)),
            ended_count=len(self._ended),
            cost_total=self._cost_total,
            cost_done=self._cost_ended + sum(held.job.cost * held.epoch / epochs for held, epochs in running),
        )

    def _close(self, job: Job, ended: TrialEnded) -> None:
        self._ended[job.trial.id] = ended
        self._cost_ended += job.cost

    def _record_in_order(self, event: Event) -> None:
        """Clocks of hosts differ, and a trial may change its host: what happened later shall not seem earlier."""
        trial_id, time_ms = getattr(event, "trial_id", ""), getattr(event, "time_ms", None)
        if time_ms is not None:
            last_ms = self._last_ms.get(trial_id, time_ms)
            time_ms = time_ms if time_ms >= last_ms else last_ms + 1
            event = replace(event, time_ms=time_ms)
        self.record(event)
        if time_ms is not None:
            self._last_ms[trial_id] = time_ms

    def _find_or_raise(self, group: str, event: Event) -> _LeasedTrial:
        trial_id, attempt = getattr(event, "trial_id", ""), getattr(event, "attempt", None)
        held = self._leased.get(trial_id)
        if held is None or (held.lease.group, held.lease.attempt) != (group, attempt):
            raise LeaseLost(f"trial {trial_id} attempt {attempt} is not leased to {group}")
        return held

    def _held_by(self, group: str) -> list[_LeasedTrial]:
        return [held for held in self._leased.values() if held.lease.group == group]

    def _overdue(self, held: _LeasedTrial) -> tuple[Outcome, str] | None:
        limits, now_s = self.limits, self.clock()
        if limits.trial_timeout_s is not None and now_s - held.since_s > limits.trial_timeout_s + limits.grace_s:
            return Outcome.TIMED_OUT, f"out of time after {limits.trial_timeout_s:g} s, in a step that does not end"
        if limits.stall_timeout_s is not None and now_s - held.heard_s > limits.stall_timeout_s:
            return Outcome.FAILED, f"no step ended for {limits.stall_timeout_s:g} s: it hangs, or a worker of it does"
        return None

    def _may_retry(self, trial_id: str) -> bool:
        return not self.stopping and self._tries[trial_id] < self.limits.max_attempts


def _ended(lease: Lease, outcome: Outcome, reason: str) -> TrialEnded:
    return TrialEnded(trial_id=lease.trial.id, attempt=lease.attempt, outcome=outcome, reason=reason)
