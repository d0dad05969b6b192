"""Which trial runs next, and what became of those that ran. Pure: its actor is in `harness.cluster.outbox_queue`.

Worker groups lease trials one at a time. A lease names its trial, its attempt and its group; whatever comes with
another attempt or from another group is refused: a group given up for dead cannot write into its heir's record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from harness.errors import HarnessError
from harness.events import EpochEnded, Event, TrialEnded
from harness.schema import Outcome
from harness.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a worker group takes of the cluster. Trials of one shape can share groups."""

    workers: int
    device: str
    """cpu or cuda."""
    cpus_per_worker: int
    gpus_per_worker: float
    """0 on the CPU."""
    placement: Literal["pack", "spread"] = "pack"

    def __str__(self) -> str:
        each = f"{self.gpus_per_worker:g} GPU and " if self.gpus_per_worker else ""
        spread = " spread" if self.placement == "spread" else ""
        return f"{self.workers} x ({each}{self.cpus_per_worker} CPU){spread}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A trial in the queue."""

    trial: Trial
    shape: Shape
    cost: float
    """Estimated training FLOPs: only the order and the time left depend on it."""
    attempts_before: int = 0
    """Attempts that earlier executions of the sweep spent. They count for the number, not against the limit."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to run one attempt of one trial."""

    trial: Trial
    attempt: int
    group: str


@dataclass(frozen=True, kw_only=True)
class Running:
    """One line of the progress display."""

    label: str
    group: str
    epoch: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The queue at one moment."""

    total: int
    waiting: int
    running: tuple[Running, ...]
    ended: tuple[TrialEnded, ...]
    """Those that ended since the snapshot before, in that order."""
    ended_count: int
    cost_total: float
    cost_done: float

    @property
    def done(self) -> bool:
        """Whether nothing is waiting or running."""
        return self.ended_count == self.total


class LeaseLost(HarnessError):
    """This group no longer holds this trial: it was given up for dead, or the sweep is stopping."""


@dataclass
class TrialQueue:
    """Every job in exactly one of three places: waiting, leased, or ended.

    Args:
        jobs: in the order in which they should start.
        record: takes every accepted event; must be durable when it returns, since a trial counts as ended after it.
        max_attempts: how often a trial may be tried in this execution.
    """

    jobs: Iterable[Job]
    record: Callable[[Event], None]
    max_attempts: int = 3
    stopping: bool = False
    _waiting: list[Job] = field(default_factory=list, init=False)
    _leased: dict[str, tuple[Job, Lease]] = field(default_factory=dict, init=False)
    _ended: dict[str, TrialEnded] = field(default_factory=dict, init=False)
    _tries: dict[str, int] = field(default_factory=dict, init=False)
    _epochs: dict[str, int] = field(default_factory=dict, init=False)
    _last_cell: dict[str, str] = field(default_factory=dict, init=False)
    _costs: dict[str, float] = field(default_factory=dict, init=False)
    _shapes: dict[str, Shape] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self._waiting = list(self.jobs)
        self._costs = {job.trial.id: job.cost for job in self._waiting}
        self._shapes = {job.trial.id: job.shape for job in self._waiting}

    def join(self, group: str) -> None:
        """A group starts, or starts again. What it held before died with it."""
        for _, lease in list(self._leased.values()):
            if lease.group == group:
                self.end(group, _died(lease))

    def lease(self, group: str, shape: Shape) -> Lease | None:
        """The next trial of this shape, None when there is none to start now: the group should end."""
        job = None if self.stopping else self._next(group, shape)
        if job is None:
            return None
        self._waiting.remove(job)
        self._last_cell[group] = job.trial.cell_id
        tries = self._tries[job.trial.id] = self._tries.get(job.trial.id, 0) + 1
        lease = Lease(trial=job.trial, attempt=job.attempts_before + tries, group=group)
        self._leased[job.trial.id] = (job, lease)
        return lease

    def emit(self, group: str, event: Event) -> None:
        """Record what happens in a leased trial; whatever comes from a lost lease is dropped."""
        if self._holds(group, event):
            if isinstance(event, EpochEnded):
                self._epochs[event.trial_id] = event.epoch
            self.record(event)

    def end(self, group: str, ended: TrialEnded) -> None:
        """An attempt ended. A failed one goes back to the front of the queue until its attempts are used up.

        Raises:
            LeaseLost: the group does not hold this attempt.
        """
        if not self._holds(group, ended):
            raise LeaseLost(f"trial {ended.trial_id} attempt {ended.attempt} is not leased to {group}")
        job, _ = self._leased[ended.trial_id]
        again = ended.outcome is Outcome.FAILED and self._may_retry(ended.trial_id)
        # First the record, which a full disk may refuse: until it is written the trial is still leased.
        self.record(replace(ended, final=not again))
        del self._leased[ended.trial_id]
        self._epochs.pop(ended.trial_id, None)
        if again:
            self._waiting.insert(0, job)
        else:
            self._ended[ended.trial_id] = ended

    def stop(self) -> None:
        """Lease nothing more; running trials see `is_stopping` and end at their next checkpoint."""
        self.stopping = True

    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self.stopping

    def abandon(self, reason: str) -> None:
        """End every leased trial as stopped: their groups did not answer in time. Nothing is leased afterwards."""
        self.stop()
        for _, lease in list(self._leased.values()):
            self.end(lease.group, _ended(lease, Outcome.STOPPED, reason))

    def give_up(self, shape: Shape, outcome: Outcome, reason: str) -> None:
        """End every waiting trial of a shape that no group can run."""
        for job in [job for job in self._waiting if job.shape == shape]:
            attempt = job.attempts_before + self._tries.get(job.trial.id, 0)
            ended = TrialEnded(trial_id=job.trial.id, attempt=attempt, outcome=outcome, reason=reason)
            self.record(ended)
            self._waiting.remove(job)
            self._ended[job.trial.id] = ended
            self._costs[job.trial.id] = 0.0  # it took no time, and none is left for it

    def ended_of(self, shape: Shape) -> int:
        """How many trials of a shape have ended: whether its groups get anywhere."""
        return sum(self._shapes[trial_id] == shape for trial_id in self._ended)

    def waiting(self) -> dict[Shape, int]:
        """How many trials of each shape wait, dearest shape first."""
        counts: dict[Shape, int] = {}
        for job in self._waiting:
            counts[job.shape] = counts.get(job.shape, 0) + 1
        return counts

    def snapshot(self, seen: int = 0) -> Snapshot:
        """The queue now, for the progress display; `seen` ended trials are left out, since the display has them."""
        return Snapshot(
            total=len(self._costs),
            waiting=len(self._waiting),
            running=tuple(self._running(lease) for _, lease in self._leased.values()),
            ended=tuple(islice(self._ended.values(), seen, None)),
            ended_count=len(self._ended),
            cost_total=sum(self._costs.values()),
            cost_done=sum(self._costs[trial_id] * self._share_done(trial_id) for trial_id in self._costs),
        )

    def _next(self, group: str, shape: Shape) -> Job | None:
        """The first trial of the shape, unless one of the cell that this group has just run waits too.

        Seeds of one cell follow each other in a group, so that compiled code is reused.
        """
        fitting = [job for job in self._waiting if job.shape == shape]
        same = (job for job in fitting if job.trial.cell_id == self._last_cell.get(group))
        return next(same, fitting[0] if fitting else None)

    def _holds(self, group: str, event: Event) -> bool:
        held = self._leased.get(getattr(event, "trial_id", ""))
        return held is not None and held[1].group == group and held[1].attempt == getattr(event, "attempt", None)

    def _may_retry(self, trial_id: str) -> bool:
        return not self.stopping and self._tries[trial_id] < self.max_attempts

    def _share_done(self, trial_id: str) -> float:
        """1 for a trial that has ended; of a running one, its epochs."""
        if trial_id in self._ended:
            return 1.0
        held = self._leased.get(trial_id)
        running = held and self._running(held[1])
        return running.epoch / running.epochs if running else 0.0

    def _running(self, lease: Lease) -> Running:
        trial = lease.trial
        epoch = self._epochs.get(trial.id, 0)
        return Running(label=trial.name, group=lease.group, epoch=epoch, epochs=trial.schedule.epochs)


def _ended(lease: Lease, outcome: Outcome, reason: str) -> TrialEnded:
    return TrialEnded(trial_id=lease.trial.id, attempt=lease.attempt, outcome=outcome, reason=reason)


def _died(lease: Lease) -> TrialEnded:
    return _ended(lease, Outcome.FAILED, "a worker of its group died")
