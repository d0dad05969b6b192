"""MLflow behind the `Tracker` interface, as the recorder writes to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from mlflow.entities import Dataset, InputTag, Metric, Param, RunTag
from mlflow.entities import DatasetInput as MlflowInput
from mlflow.exceptions import MlflowException

from harness.tracking import address
from harness.tracking.artifact_place import misplaced
from harness.tracking.artifact_store import store_errors_translated
from harness.tracking.mlflow_store import MlflowStore
from harness.tracking.tracker import DatasetInput, Point, RejectedError, Status

MAX_POINTS = 800
"""Most points in one request: with 100 params and 100 tags this is MLflow's limit of 1,000 entities."""


CONTEXT = InputTag("mlflow.data.context", "training and test")
"""Purpose of a run's data set, which MLflow's UI shows beside the name."""


class MlflowTracker(MlflowStore):
    """MLflow as a `Tracker`."""

    def ensure_experiment(self, name: str) -> str:
        """Return the experiment's id, creating the experiment if it is missing."""
        with self.translated():
            found = self.client.get_experiment_by_name(name)
            if found is None:
                return self._create_experiment(name)
            if found.lifecycle_stage != "active":
                raise RejectedError(
                    f"experiment {name!r} was deleted from {address.display(self.uri)}; restore it with `mlflow "
                    f"experiments restore --experiment-id {found.experiment_id}`, or choose another with --experiment"
                )
            return str(found.experiment_id)

    def check_place(self, experiment_id: str) -> None:
        """Check that an experiment's files may be written where the store says.

        Raises:
            RejectedError: the project was moved, or is a copy.
        """
        with self.translated():
            experiment = self.client.get_experiment(experiment_id)
        if (fault := misplaced(experiment.artifact_location, self.uri)) is not None:
            raise RejectedError(f"experiment {experiment.name!r} cannot keep files: {fault}")

    def create_run(self, experiment_id: str, *, name: str, start_ms: int, tags: Mapping[str, str]) -> str:
        """Create a run and return its id."""
        with self.translated():
            run = self.client.create_run(experiment_id, start_time=start_ms, tags=dict(tags), run_name=name)
        return str(run.info.run_id)

    def log(self, run_id: str, *, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Add points, params and tags to a run."""
        metrics = [Metric(point.key, point.value, point.time_ms, point.step) for point in points]
        for start in range(0, max(len(metrics), 1), MAX_POINTS):
            with self.translated():
                self.client.log_batch(
                    run_id,
                    metrics=metrics[start : start + MAX_POINTS],
                    params=[Param(key, value) for key, value in params.items()] if start == 0 else [],
                    tags=[RunTag(key, value) for key, value in tags.items()] if start == 0 else [],
                    synchronous=True,
                )

    def log_dataset(self, run_id: str, dataset: DatasetInput) -> None:
        """Add a data set to a run's inputs.

        Raises:
            RejectedError: also raised for a server that is older than data sets in MLflow.
        """
        with self.translated():
            try:
                self.client.log_inputs(run_id, [MlflowInput(Dataset(**asdict(dataset)), [CONTEXT])])
            except MlflowException as error:
                if error.error_code == "ENDPOINT_NOT_FOUND":
                    raise RejectedError(
                        f"{address.display(self.uri)} takes no data sets; MLflow does from 2.4 on"
                    ) from error
                raise

    def set_status(self, run_id: str, status: Status, end_ms: int | None) -> None:
        """Give a run its status and, unless it runs, the time of its end."""
        with self.translated():
            if end_ms is None:
                self.client.update_run(run_id, status=status)
            else:
                self.client.set_terminated(run_id, status=status, end_time=end_ms)

    def log_file(self, run_id: str, file: Path, folder: str | None = None) -> None:
        """Add a file to a run's artifacts."""
        with self._storing(run_id, f"artifact {file.name} is not stored"):
            self.client.log_artifact(run_id, str(file), folder)

    def log_folder(self, run_id: str, folder: Path, name: str) -> None:
        """Add all files of a folder to a run's artifacts, below `name`."""
        with self._storing(run_id, f"{name} is not stored"):
            self.client.log_artifacts(run_id, str(folder), name)

    @contextmanager
    def _storing(self, run_id: str, what: str) -> Iterator[None]:
        """Check the place of a run's files before one is written, and turn errors of writing into ours."""
        with self.translated():
            if (fault := self.misplaced(run_id)) is not None:
                raise RejectedError(f"{what}: {fault}")
            with store_errors_translated(what):
                yield

    def tag_experiment(self, experiment_id: str, tags: Mapping[str, str]) -> None:
        """Add tags to an experiment."""
        with self.translated():
            for key, value in tags.items():
                self.client.set_experiment_tag(experiment_id, key, value)

    def experiment_of(self, run_id: str) -> str:
        """Return the id of the experiment that a run is in."""
        with self.translated():
            return str(self.client.get_run(run_id).info.experiment_id)

    def delete_run(self, run_id: str) -> None:
        """Delete a run; MLflow keeps it among the deleted ones."""
        with self.translated():
            self.client.delete_run(run_id)

    def _create_experiment(self, name: str) -> str:
        try:
            return str(self.client.create_experiment(name))
        except MlflowException:
            found = self.client.get_experiment_by_name(name)  # another process may have created it first
            if found is None:
                raise
            return str(found.experiment_id)
