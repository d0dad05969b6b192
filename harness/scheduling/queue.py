"""The queue of trials: their order, their leases and their outcomes. Its actor is in `harness.cluster.outbox_queue`.

Worker groups lease trials one at a time. A lease names its trial, its attempt and its group. Events of another attempt
or from another group are rejected, so that a group that timed out cannot write into the record of the retry.

If a network fails for a moment, nobody knows whether a call arrived, and Ray repeats it. So every call may come twice:
the second time it changes nothing and returns the same.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice

from harness.events import EpochEnded, Event, TrialEnded
from harness.network import without_secrets
from harness.scheduling.group_registry import GroupRegistry
from harness.scheduling.types import Job, Lease, LeaseLost, Limits, Running, Shape, Snapshot
from harness.schema import Outcome

_Jobs = OrderedDict[str, Job]


class Waiting:
    """The waiting jobs: a line for each shape, and within it a line for each cell."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._of_shape: dict[Shape, _Jobs] = {}
        self._of_cell: dict[tuple[Shape, str], _Jobs] = {}
        self.count = 0
        for job in jobs:
            self._add(job, first=False)

    def take(self, shape: Shape, cell_id: str | None) -> Job | None:
        """Take the first job of this cell, or the first of the shape if none of the cell waits."""
        line = (self._of_cell.get((shape, cell_id)) if cell_id else None) or self._of_shape.get(shape)
        return self._remove(next(iter(line.values()))) if line else None

    def put_back(self, job: Job, *, first: bool) -> None:
        """Put back a job that was taken, as the first or the last of its shape and cell."""
        self._add(job, first=first)

    def take_all(self, shape: Shape) -> list[Job]:
        """Take every job of a shape."""
        return [self._remove(job) for job in list(self._of_shape.get(shape, {}).values())]

    def counts(self) -> dict[Shape, int]:
        """Return how many jobs of each shape wait, in the order in which the shapes first came."""
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
    """A trial that a group has leased."""

    job: Job
    lease: Lease
    since_s: float
    heard_s: float
    """Time of its last progress."""
    progress: int | None = None
    """The group's progress counter; only its changes matter."""
    epoch: int = 0


@dataclass
class TrialQueue:
    """The trials of a sweep. Each job is in exactly one of three places: waiting, leased, or ended.

    Args:
        jobs: in the order in which they should start.
        record: takes every accepted event; it must be durable on return, since a trial counts as ended after it.
        limits: limits of each trial.
        clock: returns seconds.
        sync: makes recorded events survive a power cut too.
        groups: the worker groups that lease the trials.
    """

    jobs: Iterable[Job]
    record: Callable[[Event], None]
    limits: Limits = field(default_factory=Limits)
    clock: Callable[[], float] = time.monotonic
    sync: Callable[[], None] = lambda: None
    groups: GroupRegistry = field(default_factory=GroupRegistry)
    stopping: bool = False
    _waiting: Waiting = field(init=False)
    _leased: dict[str, _LeasedTrial] = field(default_factory=dict, init=False)
    _ended: dict[str, TrialEnded] = field(default_factory=dict, init=False)
    _tries: Counter[str] = field(default_factory=Counter, init=False)
    _last_cell: dict[str, str] = field(default_factory=dict, init=False)
    _cost_total: float = field(default=0.0, init=False)
    _cost_ended: float = field(default=0.0, init=False)
    _total: int = field(default=0, init=False)
    _latest: dict[str, Event] = field(default_factory=dict, init=False)
    """Group -> its last recorded event."""
    _last_ms: dict[str, int] = field(default_factory=dict, init=False)
    """Trial id -> time of its last event, by the clock of the host that reported it."""

    def __post_init__(self) -> None:
        jobs = list(self.jobs)
        self._waiting = Waiting(jobs)
        self._total, self._cost_total = len(jobs), sum(job.cost for job in jobs)

    def release_leases(self, group: str) -> None:
        """End the trials that a group still holds: it starts anew, or has ended and they were lost with it."""
        outcome, reason = self.groups.take_loss_reason(group)
        for held in self._held_by(group):
            self.end(group, held.lease.ended(outcome, reason))

    def lease(self, group: str, shape: Shape) -> Lease | None:
        """Return the next trial of this shape, None if there is none to start now: the group should end.

        Seeds of one cell follow each other in a group, so that compiled code is reused. A group holds one trial at a
        time: if it asks while it holds one, the answer was lost, and it gets the same lease again.
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
        self.groups.count_lease(group)
        lease = Lease(trial=job.trial, attempt=job.attempts_before + self._tries[job.trial.id], group=group)
        self._leased[job.trial.id] = _LeasedTrial(job, lease, self.clock(), self.clock())
        return lease

    def emit(self, group: str, event: Event) -> None:
        """Record an event of a leased trial.

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
        """Return when every event is durable. A checkpoint may be written then: earlier events are not sent again.

        Raises:
            LeaseLost: the group holds no trial, so nobody should continue from its checkpoint.
        """
        if not self._held_by(group):
            raise LeaseLost(f"{group} holds no trial")
        self.sync()

    def end(self, group: str, ended: TrialEnded) -> None:
        """Record that an attempt ended. A failed trial waits again, until its attempts are used up.

        Raises:
            LeaseLost: the group does not hold this attempt.
        """
        ended = replace(ended, reason=without_secrets(ended.reason))  # it is shown, and goes to MLflow
        if ended == self._latest.get(group):
            return
        held = self._find_or_raise(group, ended)
        again = ended.outcome is Outcome.FAILED and self._may_retry(ended.trial_id)
        # Record first, which may fail on a full disk: until it is written the trial is still leased.
        self._record_in_order(replace(ended, final=not again))
        self._latest[group] = ended
        del self._leased[ended.trial_id]
        if again:
            # Retry soon, but not always on the same group: it may be the cause, and the others may be busy.
            self._waiting.put_back(held.job, first=self._tries[ended.trial_id] == 1)
        else:
            if ended.outcome.is_result:
                self.groups.count_result(group)
            self._close(held.job, ended)

    def heartbeat(self, group: str, progress: int) -> bool:
        """Note that a group is alive, and its progress. Return whether the sweep is stopping."""
        for held in self._held_by(group):
            if held.progress != progress:
                held.progress, held.heard_s = progress, self.clock()
        return self.stopping

    def expire_hung(self) -> tuple[str, ...]:
        """End every trial that hangs. Return their groups, for the caller to kill."""
        groups = []
        for held in list(self._leased.values()):
            end = self._overdue(held)
            if end is not None:
                groups.append(held.lease.group)
                self.end(held.lease.group, held.lease.ended(*end))
        return tuple(groups)

    def stop(self) -> None:
        """Lease nothing more. Running trials learn it at their next heartbeat and end at their next checkpoint."""
        self.stopping = True

    def stop_running(self, reason: str) -> None:
        """End every leased trial as stopped, because its group did not answer in time. Lease nothing more."""
        self.stop()
        for held in list(self._leased.values()):
            self.end(held.lease.group, held.lease.ended(Outcome.STOPPED, reason))

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
            self._cost_total -= job.cost  # it took no time and needs none
            self._close(replace(job, cost=0.0), ended)

    def waiting(self) -> dict[Shape, int]:
        """Return how many trials of each shape wait, the most expensive shape first."""
        return self._waiting.counts()

    def busy(self) -> frozenset[str]:
        """Return the groups that hold a trial."""
        return frozenset(held.lease.group for held in self._leased.values())

    def snapshot(self, seen: int = 0) -> Snapshot:
        """Return the queue's state for the progress display, without the first `seen` ended trials, which it has."""
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
        """Record an event, never earlier than the trial's last: clocks differ when a trial changes its host."""
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
