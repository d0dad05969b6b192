"""Conversion of runs and points to the tidy frames of `SweepResults`. Pure and deterministic."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from harness.schema import METRICS, Outcome, Tag, current_key, with_current_keys
from harness.tracking.mapping import RUNNING
from harness.tracking.tracker import Point, RunRecord

MISSING = "missing"
"""Outcome of a trial that has no run."""

FIRST_COLUMNS = ["trial_id", "cell_id", "label", "seed", "run_id", "outcome", "reason", "attempt"]
CURVE_COLUMNS = ["trial_id", "key", "epoch", "value"]

_NOT_COLUMNS = {tag.value for tag in Tag if tag.value.startswith("harness.")}


def trials(listed: Sequence[Mapping[str, Any]], runs: Mapping[str, RunRecord]) -> pd.DataFrame:
    """Return one row for each trial of the sweep's list, in the order of the list."""
    rows = [_row(trial, runs.get(trial["id"])) for trial in listed]
    settings = dict.fromkeys(key for trial in listed for key in trial["settings"])
    metrics = [key for key, metric in METRICS.items() if not metric.series and any(key in row for row in rows)]
    others = sorted({key for row in rows for key in row} - {*FIRST_COLUMNS, *settings, *metrics})
    columns = list(dict.fromkeys([*FIRST_COLUMNS, *settings, *metrics, *others]))
    return pd.DataFrame(rows, columns=columns)


def curves(run_ids: Mapping[str, str], points: Iterable[tuple[str, Point]]) -> pd.DataFrame:
    """Return every series in long form. If an epoch ran twice, after a resume, the last value by time counts.

    A series that was begun under a former key and resumed under the current one is one series.

    Args:
        run_ids: trial id -> run id, in the order of the trials.
        points: the points, each with its run's id.
    """
    place = {run_id: index for index, run_id in enumerate(run_ids.values())}
    names = list(run_ids)
    last: dict[tuple[int, str, int], Point] = {}
    for run_id, point in points:
        where = (place[run_id], current_key(point.key), point.step)
        if where not in last or _age(point) > _age(last[where]):
            last[where] = point
    rows = [(names[index], key, epoch, unclipped(last[index, key, epoch].value)) for index, key, epoch in sorted(last)]
    return pd.DataFrame(rows, columns=CURVE_COLUMNS).astype({"epoch": "int64", "value": "float64"})


def unclipped(value: float) -> float:
    """Return infinity for the largest float, which a database stores in its place; return other values unchanged."""
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value


def _age(point: Point) -> tuple[int, bool, float]:
    """Return a sort key: the latest point is used, and of those at one moment NaN or else the largest value."""
    nan = math.isnan(point.value)
    return point.time_ms, nan, 0.0 if nan else point.value


def _row(trial: Mapping[str, Any], run: RunRecord | None) -> dict[str, Any]:
    row: dict[str, Any] = {} if run is None else _measured(run)
    row |= trial["settings"]
    row |= {"trial_id": trial["id"], "cell_id": trial["cell_id"], "label": trial["label"], "seed": trial["seed"]}
    if run is None:
        return row | {"run_id": None, "outcome": MISSING, "reason": None, "attempt": None}
    attempt = run.tags.get(Tag.ATTEMPT)
    return row | {
        "run_id": run.run_id,
        "outcome": _outcome(run),
        "reason": run.tags.get(Tag.REASON) or None,
        "attempt": None if attempt is None else int(attempt),
    }


def _measured(run: RunRecord) -> dict[str, Any]:
    metrics = with_current_keys(run.metrics)
    values = {key: unclipped(value) for key, value in metrics.items() if key in METRICS and not METRICS[key].series}
    tags = {key: value for key, value in run.tags.items() if not key.startswith("mlflow.") and key not in _NOT_COLUMNS}
    return {**tags, **values}


def _outcome(run: RunRecord) -> str:
    """Return the outcome. A run that was ended from outside, for example in MLflow's UI, counts as stopped."""
    outcome = run.tags.get(Tag.OUTCOME, RUNNING)
    if run.status == "RUNNING":
        return RUNNING
    return Outcome.STOPPED.value if outcome == RUNNING else outcome
