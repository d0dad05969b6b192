"""A tracking store in memory, for tests: it answers as MLflow does, without MLflow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import TrackingUnreachable
from harness.schema import Tag
from harness.tracking.tracker import ArtifactStoreUnreachable, DatasetInput, Point, RejectedError, RunRecord, Status


@dataclass
class MemoryRun:
    """One run with everything that was logged to it."""

    experiment_id: str
    record: RunRecord
    logged: dict[tuple[str, int, int, str], Point] = field(default_factory=dict)
    """Points by MLflow's key (name, step, time and value), so that logging a point again changes nothing."""
    artifacts: dict[str, bytes] = field(default_factory=dict)
    datasets: dict[tuple[str, str], DatasetInput] = field(default_factory=dict)
    """Data sets by MLflow's key: name and digest."""
    deleted: bool = False

    @property
    def points(self) -> list[Point]:
        """Every point, by name, step and time."""
        return [self.logged[key] for key in sorted(self.logged)]


class MemoryTracker:
    """Tracking store that keeps everything in dicts.

    `away` makes it unreachable, `files_away` only the place of its files; `calls` counts the requests.
    """

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, MemoryRun] = {}
        self.calls = 0
        self.away = False
        self.files_away = False

    def check(self) -> None:
        """See `Tracker.check`."""
        self._called()

    def ensure_experiment(self, name: str) -> str:
        """See `Tracker.ensure_experiment`."""
        self._called()
        return self.experiments.setdefault(name, str(len(self.experiments) + 1))

    def runs_of_sweep(self, experiment_id: str, sweep_id: str) -> list[RunRecord]:
        """See `Tracker.runs_of_sweep`."""
        self._called()
        found = [
            run.record
            for run in self.runs.values()
            if not run.deleted and run.experiment_id == experiment_id and run.record.tags.get(Tag.SWEEP_ID) == sweep_id
        ]
        return sorted(found, key=lambda run: (run.start_ms, run.run_id))

    def create_run(self, experiment_id: str, *, name: str, start_ms: int, tags: Mapping[str, str]) -> str:
        """See `Tracker.create_run`."""
        self._called()
        run_id = f"run-{len(self.runs) + 1:04}"
        record = RunRecord(run_id=run_id, name=name, status="RUNNING", start_ms=start_ms, end_ms=None, tags=dict(tags))
        self.runs[run_id] = MemoryRun(experiment_id, record)
        return run_id

    def log(self, run_id: str, *, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """See `Tracker.log`. A changed param is refused, as MLflow does."""
        run = self._run(run_id)
        for key, value in params.items():
            if run.record.params.get(key, value) != value:
                raise RejectedError(
                    f"param {key} of run {run_id} is {run.record.params[key]!r} and cannot become {value!r}"
                )
        run.logged.update({(point.key, point.step, point.time_ms, repr(point.value)): point for point in points})
        run.record = replace(
            run.record,
            params={**run.record.params, **params},
            tags={**run.record.tags, **tags},
            metrics=_latest(run.points),
        )

    def log_dataset(self, run_id: str, dataset: DatasetInput) -> None:
        """See `Tracker.log_dataset`."""
        self._run(run_id).datasets.setdefault((dataset.name, dataset.digest), dataset)

    def set_status(self, run_id: str, status: Status, end_ms: int | None) -> None:
        """See `Tracker.set_status`."""
        run = self._run(run_id)
        run.record = replace(run.record, status=status, end_ms=end_ms)

    def log_file(self, run_id: str, file: Path, folder: str | None = None) -> None:
        """See `Tracker.log_file`."""
        if self.files_away:
            raise ArtifactStoreUnreachable("the place of files in memory is set to be away")
        name = f"{folder}/{file.name}" if folder else file.name
        self._run(run_id).artifacts[name] = file.read_bytes()

    def delete_run(self, run_id: str) -> None:
        """See `Tracker.delete_run`."""
        self._run(run_id).deleted = True

    def _run(self, run_id: str) -> MemoryRun:
        self._called()
        if run_id not in self.runs:
            raise RejectedError(f"no run {run_id}")
        return self.runs[run_id]

    def _called(self) -> None:
        self.calls += 1
        if self.away:
            raise TrackingUnreachable("the tracker in memory is set to be away")


def _latest(points: list[Point]) -> dict[str, float]:
    return {point.key: point.value for point in points}
