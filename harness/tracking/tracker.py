"""The recorder's interface to a tracking store, with two implementations: MLflow and memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from harness.errors import HarnessError, TrackingUnreachable

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
"""MLflow's statuses."""


NOT_STORED = " is not stored: "
"""Words between the name of a file and the reason why it is not in the store."""


class RejectedError(HarnessError):
    """The store answered that it will never accept this request: sending it again is no use."""


class ArtifactStoreUnreachable(TrackingUnreachable):
    """The place of artifacts does not answer. Metrics, params and tags may go in meanwhile."""


@dataclass(frozen=True)
class Point:
    """One value of one metric."""

    key: str
    value: float
    time_ms: int
    step: int


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run as the store holds it."""

    run_id: str
    name: str
    status: Status
    start_ms: int
    end_ms: int | None
    tags: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Last value of each metric."""


@dataclass(frozen=True, kw_only=True)
class DatasetInput:
    """A data set that a run used."""

    name: str
    digest: str
    source_type: str
    """MLflow's word for the way to read the source: `local`, `s3`, `code`, ..."""
    source: str
    """Source as JSON."""
    profile: str
    """Profile as JSON."""


class Tracker(Protocol):
    """A tracking store.

    Every method raises `TrackingUnreachable` if the store does not answer, and `RejectedError` if the store rejects the
    request.
    """

    def check(self) -> None:
        """Check that the store answers, within a few seconds."""

    def ensure_experiment(self, name: str) -> str:
        """Return the experiment's id, creating the experiment if it is missing."""

    def runs_of_sweep(self, experiment_id: str, sweep_id: str) -> list[RunRecord]:
        """Return the parent and the children of a sweep, in the order in which they started."""

    def create_run(self, experiment_id: str, *, name: str, start_ms: int, tags: Mapping[str, str]) -> str:
        """Create a run and return its id. The run is `RUNNING`."""

    def log(self, run_id: str, *, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Add points, params and tags to a run. Adding the same again changes nothing."""

    def log_dataset(self, run_id: str, dataset: DatasetInput) -> None:
        """Add a data set to a run's inputs. Adding it again changes nothing."""

    def set_status(self, run_id: str, status: Status, end_ms: int | None) -> None:
        """Give a run its status and, unless it runs, the time of its end."""

    def log_file(self, run_id: str, file: Path, folder: str | None = None) -> None:
        """Add a file to a run's artifacts, replacing one of the same name.

        Raises:
            ArtifactStoreUnreachable: the store answers, but the place of its artifacts does not.
        """

    def delete_run(self, run_id: str) -> None:
        """Delete a run."""
