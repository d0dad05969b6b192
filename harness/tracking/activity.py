"""Activity of devices and hosts over time: a few trials of a sweep and few points each, as a report draws them.

The functions here are pure. The points are those of MLflow's `system/...` series.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pandas as pd

from harness.measure.windows import FIRST_WIDTH_MS
from harness.schema import ACTIVITIES
from harness.tracking.tracker import Point

MOST_TRIALS = 6
MOST_POINTS = 100
"""Largest number of points of one series."""
COLUMNS = ["trial_id", "node", "source", "quantity", "elapsed_s", "value"]

_TIME = "time/total_s"
_NAMES = {
    quantity: re.compile(
        r"system/(?:(?P<node>[^/]+)/)?" + re.escape(each.name).replace(r"\{source\}", r"(?P<source>gpu_\d+)")
    )
    for quantity, each in ACTIVITIES.items()
}

Series = tuple[str, str, str]
"""Node (empty if there is only one), source (`gpu_0` or `host`) and quantity (a key of `ACTIVITIES`)."""


def series_of(key: str) -> Series | None:
    """Return the node, source and quantity of a metric's key, None if it is not a `system/...` series."""
    for quantity, pattern in _NAMES.items():
        if found := pattern.fullmatch(key):
            parts = found.groupdict()
            return parts["node"] or "", parts.get("source") or "host", quantity
    return None


def shown_trials(trials: pd.DataFrame) -> list[str]:
    """Return the ids of the trials to show: for each depth the trial that took longest, the shallowest first.

    Of more than six depths, six are shown, the first and the last among them. A network without a depth goes by its
    label.

    Args:
        trials: see `SweepResults.trials`; only those that were watched.
    """
    if _TIME not in trials:
        return []
    ended = trials.dropna(subset=[_TIME])
    depths = ended["model.depth"] if "model.depth" in ended else pd.Series(math.nan, index=ended.index)
    ranked = ended.assign(depth=depths.fillna(math.inf), name=ended["label"].where(depths.isna(), ""))
    longest = ranked.sort_values(["depth", "name", _TIME], ascending=[True, True, False], kind="stable")
    return _spread([str(trial_id) for trial_id in longest.drop_duplicates(["depth", "name"])["trial_id"]])


def frame(run_ids: Mapping[str, str], points: Iterable[tuple[str, Point]]) -> pd.DataFrame:
    """Return the series in long form, ordered by trial, node, source, quantity and time.

    For a trial that was resumed, only the last attempt counts. A value is the mean over a span of time and `elapsed_s`
    is the middle of that span, counted from the start of watching. A series has at most 100 spans.

    Args:
        run_ids: trial id -> run id, in the order of the trials.
        points: the points of the runs' `system/...` series, each with its run's id.
    """
    found: dict[str, dict[Series, list[Point]]] = {run_id: {} for run_id in run_ids.values()}
    for run_id, point in points:
        series = series_of(point.key)
        if series is not None and math.isfinite(point.value):
            found[run_id].setdefault(series, []).append(point)
    rows = [
        (trial_id, *series, elapsed_s, value)
        for trial_id, run_id in run_ids.items()
        for series, elapsed_s, value in _thinned(found[run_id])
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"elapsed_s": "float64", "value": "float64"})


def empty() -> pd.DataFrame:
    """Return the frame for a sweep in which nothing was watched."""
    return frame({}, ())


def _spread(trial_ids: Sequence[str]) -> list[str]:
    last = len(trial_ids) - 1
    if last < MOST_TRIALS:
        return list(trial_ids)
    return [trial_ids[round(step * last / (MOST_TRIALS - 1))] for step in range(MOST_TRIALS)]


def _thinned(found: Mapping[Series, Sequence[Point]]) -> Iterator[tuple[Series, float, float]]:
    """Yield means over spans of equal length, the same for all series of a run."""
    elapsed = dict(_elapsed({series: _last_attempt(points) for series, points in found.items()}))
    whole_s = max((seconds for series in elapsed.values() for seconds, _ in series), default=0.0)
    width_s = max(FIRST_WIDTH_MS / 1000, whole_s / MOST_POINTS)
    for series in sorted(elapsed):
        spans: dict[int, list[float]] = {}
        for seconds, value in elapsed[series]:
            # A point stands for the time that ends with it. Rounding may have added half a millisecond.
            spans.setdefault(max(0, math.ceil((seconds - 0.0005) / width_s) - 1), []).append(value)
        for place in sorted(spans):
            yield series, (place + 0.5) * width_s, math.fsum(spans[place]) / len(spans[place])


def _elapsed(found: Mapping[Series, Sequence[Point]]) -> Iterator[tuple[Series, list[tuple[float, float]]]]:
    """Yield seconds since watching began, with values. Each node has its own clock, so nodes are not compared."""
    began_ms: dict[str, int] = {}
    for (node, *_), points in found.items():
        began_ms[node] = min(began_ms.get(node, points[0].time_ms), points[0].time_ms)
    for series, points in found.items():
        zero_ms = began_ms[series[0]] - FIRST_WIDTH_MS
        yield series, [((point.time_ms - zero_ms) / 1000, point.value) for point in points]


def _last_attempt(points: Sequence[Point]) -> list[Point]:
    """Return the last attempt's points by time. Each attempt restarts the steps; a repeated point counts once."""
    last: list[Point] = []
    for point in sorted(points, key=lambda point: (point.time_ms, point.step)):
        if last and point.step <= last[-1].step:
            last = last[:-1] if (point.step, point.time_ms) == (last[-1].step, last[-1].time_ms) else []
        last.append(point)
    return last
