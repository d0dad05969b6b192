"""Frozen values that the queue and the worker groups exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.errors import HarnessError
from harness.events import TrialEnded
from harness.schema import Outcome
from harness.trial import Trial


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The resources of a worker group. Trials of one shape can share groups."""

    workers: int
    device: str
    """cpu or cuda."""
    cpus_per_worker: int
    gpus_per_worker: float
    """GPUs of each worker, 0 on the CPU."""
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
    """Estimated training FLOPs. Only the order and the estimate of the remaining time depend on it."""
    attempts_before: int = 0
    """Attempts in earlier executions of the sweep. They count for the attempt's number, not against the limit."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to run one attempt of one trial."""

    trial: Trial
    attempt: int
    group: str

    def ended(self, outcome: Outcome, reason: str) -> TrialEnded:
        """Return the end of this attempt."""
        return TrialEnded(trial_id=self.trial.id, attempt=self.attempt, outcome=outcome, reason=reason)


@dataclass(frozen=True, kw_only=True)
class Running:
    """One line of the progress display."""

    label: str
    group: str
    epoch: int
    epochs: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The state of the queue at one moment."""

    total: int
    waiting: int
    running: tuple[Running, ...]
    ended: tuple[TrialEnded, ...]
    """Trials that ended since the last snapshot, in that order."""
    ended_count: int
    cost_total: float
    cost_done: float

    @property
    def done(self) -> bool:
        """Whether no trial is waiting or running."""
        return self.ended_count == self.total


class LeaseLost(HarnessError):
    """This group no longer holds this trial: the group timed out, or the sweep is stopping."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the queue on each trial."""

    max_attempts: int = 3
    """Maximum attempts of a trial in this execution."""
    trial_timeout_s: float | None = None
    """Seconds that an attempt may take. A trial ends at its next step; the queue ends one that has no next step."""
    stall_timeout_s: float | None = None
    """Seconds that may pass without a step, an evaluated batch or an event."""
    grace_s: float = 30.0
    """Seconds that a trial out of time has to end by itself."""


@dataclass(frozen=True, kw_only=True)
class GroupEnd:
    """The end of a worker group."""

    reason: str | None
    """Why it was lost; None if it ended well."""
    no_room: bool = False
    """Whether it never got its resources, because others use them."""


@dataclass(frozen=True, kw_only=True)
class GroupStats:
    """Leases, results and nodes of a group."""

    leases: int
    """Leases that the group got; a trial that it leased twice counts twice."""
    results: int
    """Trials that it brought to a result."""
    nodes: frozenset[str]
    """Nodes of its workers, as far as these have started."""
