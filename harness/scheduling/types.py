"""What the queue and the worker groups tell each other, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.errors import HarnessError
from harness.events import TrialEnded
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


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a queue grants its trials."""

    max_attempts: int = 3
    """How often a trial may be tried in this execution."""
    trial_timeout_s: float | None = None
    """Of one attempt. The trial itself ends at its next step; one that has no next step is ended for it."""
    stall_timeout_s: float | None = None
    """Longest time without a step, an evaluated batch or an event."""
    grace_s: float = 30.0
    """For a trial that is out of time, to end by itself."""


@dataclass(frozen=True, kw_only=True)
class GroupStats:
    """What a group has done."""

    leases: int
    """Trials that it was given, again and again counted each time."""
    results: int
    """Trials that it brought to a result."""
    nodes: frozenset[str]
    """Where its workers are or were, as far as they have started."""
