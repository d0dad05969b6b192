"""A bench as an MLflow run of its own kind, so that MLflow's compare page can compare machines."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.events import now_ms
from harness.schema import BENCH_ARTIFACT, KIND_BENCH, Tag
from harness.tracking.mapping import git_tags
from harness.tracking.recorder import connect
from harness.tracking.tracker import Point


def log_bench(tracking_uri: str, experiment: str, record: Mapping[str, Any]) -> str:
    """Write a bench's result as one run and return the run's id.

    The median of each measurement stands under its key, with `_low`, `_high` and `_n` beside it.

    Raises:
        TrackingUnreachable: the store does not answer.
    """
    tracker = connect(tracking_uri)
    tags = {Tag.KIND.value: KIND_BENCH, **record["tags"], **git_tags(record["environment"])}
    run_id = tracker.create_run(
        tracker.ensure_experiment(experiment), name=_name(record), start_ms=record["started_ms"], tags=tags
    )
    ended_ms = now_ms()
    params = {name: str(record[name]) for name in ("workers", "launcher", "cpus_per_worker")}
    tracker.log(run_id, points=_points(record, ended_ms), params=params, tags={})
    tracker.set_status(run_id, "FINISHED", ended_ms)  # first, since the file may find no place
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        file = Path(folder, BENCH_ARTIFACT)
        file.write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
        tracker.log_file(run_id, file)
    return run_id


def _name(record: Mapping[str, Any]) -> str:
    """Return the run's name, such as `2 x NVIDIA H200, ray`."""
    device = record["tags"].get(Tag.DEVICE_NAME, "unknown device")
    return f"{record['workers']} x {device}, {record['launcher']}"


def _points(record: Mapping[str, Any], time_ms: int) -> list[Point]:
    names = {"": "median", "_low": "low", "_high": "high", "_n": "n"}
    return [
        Point(f"{found['key']}{suffix}", float(found[name]), time_ms, 0)
        for found in record["measurements"]
        for suffix, name in names.items()
    ]
