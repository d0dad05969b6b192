"""What the recorder asks of a tracking store: an interface with two houses, MLflow and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from harness.errors import HarnessError

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
"""MLflow's words."""


class Refused(HarnessError):
    """The store answered, and will never accept this request: sending it again is no use."""


@dataclass(frozen=True)
class Point:
    """One value of one metric."""

    key: str
    value: float
    time_ms: int
    step: int


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run as the store has it."""

    run_id: str
    name: str
    status: Status
    start_ms: int
    end_ms: int | None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The last value of each."""


@dataclass(frozen=True, kw_only=True)
class DatasetInput:
    """A data set that a run was made with."""

    name: str
    digest: str
    source_type: str
    """MLflow's word for how the source is to be read: `local`, `s3`, `code`, ..."""
    source: str
    """JSON."""
    profile: str
    """JSON."""


class Tracker(Protocol):
    """A tracking store.

    Every method raises `TrackingUnreachable` when the store does not answer, and `Refused` when it says no.
    """

    def check(self) -> None:
        """Ask for a sign of life, for a few seconds at most."""

    def ensure_experiment(self, name: str) -> str:
        """The experiment's id, creating it where it is missing."""

    def runs_of_sweep(self, experiment_id: str, sweep_id: str) -> list[RunRecord]:
        """The parent and the children of a sweep, in the order they started."""

    def create_run(self, experiment_id: str, *, name: str, start_ms: int, tags: Mapping[str, str]) -> str:
        """A new run's id. The run is `RUNNING`."""

    def log(self, run_id: str, *, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Add to a run. Adding the same again changes nothing."""

    def log_dataset(self, run_id: str, dataset: DatasetInput) -> None:
        """Add a data set to a run's inputs. Adding it again changes nothing."""

    def set_status(self, run_id: str, status: Status, end_ms: int | None) -> None:
        """Give a run its status and, unless it runs, the time of its end."""

    def log_file(self, run_id: str, file: Path, folder: str | None = None) -> None:
        """Add a file to a run's artifacts, replacing one of the same name."""

    def delete_run(self, run_id: str) -> None:
        """Take a run out of sight."""
