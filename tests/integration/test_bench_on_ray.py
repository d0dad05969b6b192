"""`harness bench` on Ray: the joint measurements of two workers are recorded in MLflow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

pytestmark = pytest.mark.integration


def test_what_two_ray_workers_measure_is_one_run_in_mlflow_all_reduce_included(bench: Any) -> None:
    shown = bench.run("bench", "--workers", "2", "--device", "cpu", "--repeats", "2", "--json").stdout
    client = MlflowClient(f"sqlite:///{bench.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("bench")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.tags["harness.kind"]) == ("FINISHED", "bench")
    assert (run.data.params["launcher"], run.data.params["workers"]) == ("ray", "2")
    assert (run.data.tags["group.world_size"], run.data.tags["group.nodes"]) == ("2", "1")
    metrics = run.data.metrics
    for key in ("bench/all_reduce_bytes_per_s", "bench/all_reduce_latency_us"):
        assert metrics[f"{key}_n"] == 2
        assert 0 < metrics[f"{key}_low"] <= metrics[key] <= metrics[f"{key}_high"]
    assert metrics["bench/copy_bytes_per_s_n"] == 4  # two values of each worker
    printed = {row["key"]: row["median"] for row in json.loads(shown)["measurements"]}
    assert printed == {key: metrics[key] for key in printed}
    assert [artifact.path for artifact in client.list_artifacts(run.info.run_id)] == ["bench.json"]
    assert not list((bench.folder / "runs").iterdir())
