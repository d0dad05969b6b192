"""MLflow as the source of results, read in as few requests as it allows."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mlflow.entities import FileInfo
from mlflow.tracking._tracking_service.client import TrackingServiceClient

from harness.errors import StorageError
from harness.tracking.artifact_store import store_errors_translated
from harness.tracking.mlflow_store import MlflowStore, record
from harness.tracking.tracker import Point, RunRecord

RUNS_PER_REQUEST = 100
"""Largest number of runs that an MLflow server accepts in one request."""
POINTS_PER_RUN = 2500
"""Number of points per run from which on a server leaves points out."""
ALL = 2**31 - 1

_BULK = "/api/2.0/mlflow/metrics/get-history-bulk-interval"


class MlflowReader(MlflowStore):
    """Read-only requests, which are repeated before the store counts as unreachable."""

    def __init__(self, tracking_uri: str) -> None:
        """Connect to a store that exists already; see `MlflowStore`."""
        super().__init__(tracking_uri, tries=3, create=False)
        self.check()

    def experiments(self) -> Mapping[str, str]:
        """Return id -> name of every experiment that is not deleted."""
        found = self.pages(lambda token: self.client.search_experiments(max_results=500, page_token=token))
        return {experiment.experiment_id: experiment.name for experiment in found}

    def experiment_id(self, name: str) -> str | None:
        """Return the id of an experiment that is not deleted; None if there is none."""
        found = self.call(lambda: self.client.get_experiment_by_name(name))
        return str(found.experiment_id) if found is not None and found.lifecycle_stage == "active" else None

    def runs_by_id(self, experiment_id: str, run_ids: Sequence[str]) -> dict[str, RunRecord]:
        """Return those of the runs that still exist."""
        found: dict[str, RunRecord] = {}
        for some in _chunks(run_ids):
            listed = ", ".join(f"'{run_id}'" for run_id in some)
            for run in self.search([experiment_id], f"attributes.run_id IN ({listed})"):
                found[run.info.run_id] = record(run)
        return found

    def texts(self, run_id: str, names: Sequence[str]) -> dict[str, str]:
        """Return artifacts of a run as text.

        Raises:
            FileNotFoundError: an artifact does not exist; the message says where.
            StorageError: the project was moved, or is a copy.
        """
        there = {file.path for file in self.call(partial(self._listed, run_id))}
        if absent := [name for name in names if name not in there]:
            if (fault := self.call(partial(self.misplaced, run_id))) is not None:
                raise StorageError(f"the files of run {run_id} cannot be read: {fault}")
            raise FileNotFoundError(f"{', '.join(absent)} in {self._locations[run_id]}")
        with tempfile.TemporaryDirectory(prefix="harness-") as folder:
            return {name: self._text(run_id, name, folder) for name in names}

    def _listed(self, run_id: str) -> Sequence[FileInfo]:
        with store_errors_translated("artifacts cannot be listed"):
            return self.client.list_artifacts(run_id)

    def _text(self, run_id: str, name: str, folder: str) -> str:
        path = self.call(partial(self._download, run_id, name, folder))
        return Path(path).read_text(encoding="utf-8")

    def _download(self, run_id: str, name: str, folder: str) -> str:
        with store_errors_translated(f"artifact {name} cannot be read"):
            return self.client.download_artifacts(run_id, name, folder)

    def history(self, run_ids: Sequence[str], key: str) -> Iterator[tuple[str, Point]]:
        """Yield every point of one metric of some runs, each with its run's id."""
        for some in _chunks(run_ids):
            yield from self.call(partial(self._bulk, some, key))

    def _bulk(self, run_ids: Sequence[str], key: str) -> list[tuple[str, Point]]:
        if self.is_server:
            return self._bulk_from_server(run_ids, key)
        service: Any = TrackingServiceClient  # without types, like its stores
        store = service(self.uri).store
        if hasattr(store, "get_metric_history_bulk"):  # the SQL stores have it
            found = store.get_metric_history_bulk(list(run_ids), key, ALL)
            return [(metric.run_id, _point(metric)) for metric in found]
        return [pair for run_id in run_ids for pair in self._one_by_one(run_id, key)]

    def _bulk_from_server(self, run_ids: Sequence[str], key: str) -> list[tuple[str, Point]]:
        query = {"run_ids": list(run_ids), "metric_key": key, "max_results": POINTS_PER_RUN}
        response = self.get(_BULK, params=query)
        if response.status_code != 200:  # another kind of server
            return [pair for run_id in run_ids for pair in self._one_by_one(run_id, key)]
        found: dict[str, list[tuple[str, Point]]] = {}
        for metric in response.json().get("metrics", []):
            point = Point(metric["key"], float(metric["value"]), int(metric["timestamp"]), int(metric["step"]))
            found.setdefault(metric["run_id"], []).append((metric["run_id"], point))
        for run_id, pairs in found.items():
            if len(pairs) >= POINTS_PER_RUN:
                found[run_id] = self._one_by_one(run_id, key)
        return [pair for pairs in found.values() for pair in pairs]

    def _one_by_one(self, run_id: str, key: str) -> list[tuple[str, Point]]:
        return [(run_id, _point(metric)) for metric in self.client.get_metric_history(run_id, key)]


def _point(metric: Any) -> Point:
    return Point(metric.key, metric.value, metric.timestamp, metric.step)


def _chunks(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(run_ids), RUNS_PER_REQUEST):
        yield run_ids[start : start + RUNS_PER_REQUEST]
