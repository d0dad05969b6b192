"""Series of devices are reduced to a few points of a few trials; only values that belong together are averaged."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from harness.tracking.activity import empty, frame, series_of, shown_trials
from harness.tracking.tracker import Point

BUSY = "system/gpu_0_utilization_percentage"
CPU = "system/cpu_utilization_percentage"
START_MS = 1_760_000_000_000


def windows(key: str, values: list[float], start_ms: int = START_MS) -> list[tuple[str, Point]]:
    """Return one window per second, timed at its end."""
    return [("run", Point(key, value, start_ms + 1000 * (step + 1), step)) for step, value in enumerate(values)]


def points_of(found: pd.DataFrame) -> list[list[object]]:
    return found[["source", "quantity", "elapsed_s", "value"]].to_numpy().tolist()


@pytest.mark.parametrize(
    ("key", "series"),
    [
        # As MLflow's own monitor names them (docs, "System Metrics"), without and with a node.
        ("system/gpu_0_utilization_percentage", ("", "gpu_0", "busy_pct")),
        ("system/gpu_12_power_usage_watts", ("", "gpu_12", "power_w")),
        ("system/gpu_1_memory_usage_percentage", ("", "gpu_1", "memory_pct")),
        ("system/cpu_utilization_percentage", ("", "host", "host_cpu_pct")),
        ("system/system_memory_usage_percentage", ("", "host", "host_memory_pct")),
        ("system/node-7.lab/gpu_0_utilization_percentage", ("node-7.lab", "gpu_0", "busy_pct")),
        ("system/disk_usage_percentage", None),
        ("test/error_pct", None),
    ],
)
def test_a_series_is_known_by_mlflows_name(key: str, series: tuple[str, str, str] | None) -> None:
    assert series_of(key) == series


def test_the_longest_trial_of_each_depth_is_shown_and_one_that_never_ended_is_not() -> None:
    trials = pd.DataFrame(
        {
            "trial_id": list("abcdef"),
            "label": ["r20", "r20", "r8", "vgg", "r8", "r32"],
            "model.depth": [20, 20, 8, math.nan, 8, 32],
            "time/total_s": [5.0, 7.0, 3.0, 9.0, 2.0, math.nan],
        }
    )
    assert shown_trials(trials) == ["c", "b", "d"]


def test_of_many_depths_six_are_shown_the_first_and_the_last_among_them() -> None:
    depths = list(range(8, 8 + 6 * 11, 6))
    trials = pd.DataFrame(
        {"trial_id": list(map(str, depths)), "label": "r", "model.depth": depths, "time/total_s": 1.0}
    )
    shown = shown_trials(trials)
    assert (len(shown), shown[0], shown[-1]) == (6, "8", "68")


def test_no_trial_is_shown_where_none_has_ended() -> None:
    assert shown_trials(pd.DataFrame({"trial_id": ["a"], "label": ["r"]})) == []


def test_a_short_series_keeps_every_second_and_its_place() -> None:
    found = frame({"trial": "run"}, windows(CPU, [10.0, 20.0, 60.0]))
    assert points_of(found) == [
        ["host", "host_cpu_pct", 0.5, 10],
        ["host", "host_cpu_pct", 1.5, 20],
        ["host", "host_cpu_pct", 2.5, 60],
    ]


def test_a_long_series_becomes_a_hundred_means() -> None:
    """1,000 s counted up from 0: ten values at a time, whose means are 4.5, 14.5, ... 994.5."""
    found = frame({"trial": "run"}, windows(BUSY, [float(second) for second in range(1000)]))
    assert list(found["value"]) == [10 * place + 4.5 for place in range(100)]
    assert list(found["elapsed_s"]) == [10 * place + 5 for place in range(100)]


def test_windows_that_widen_with_age_fill_every_one_of_the_hundred_spans() -> None:
    """An hour as the engine reports it: 60 windows of 1 s, then 60 of 2 s, and so on."""
    from harness.measure.windows import Windows

    made = Windows(START_MS)
    for second in range(3600):
        made.add(START_MS + 1000 * second, {"cpu": 50.0})
    points = [("run", Point(CPU, w.values["cpu"], w.time_ms, w.step)) for w in made.take(all_of_it=True)]
    assert len(frame({"trial": "run"}, points)) == 100


def test_of_a_trial_that_was_resumed_the_last_attempt_is_shown_from_its_own_beginning() -> None:
    later_ms = START_MS + 3_600_000
    points = windows(CPU, [10.0, 20.0, 30.0]) + windows(CPU, [70.0, 80.0], later_ms)
    assert points_of(frame({"trial": "run"}, points[::-1])) == [
        ["host", "host_cpu_pct", 0.5, 70],
        ["host", "host_cpu_pct", 1.5, 80],
    ]


def test_a_point_that_was_sent_twice_counts_once() -> None:
    points = windows(CPU, [10.0, 20.0])
    assert frame({"trial": "run"}, points + points[1:]).equals(frame({"trial": "run"}, points))


def test_nodes_whose_clocks_differ_by_an_hour_begin_together() -> None:
    points = windows("system/alpha/cpu_utilization_percentage", [10.0, 20.0])
    points += windows("system/beta/cpu_utilization_percentage", [30.0, 40.0], START_MS + 3_600_000)
    found = frame({"trial": "run"}, points)
    assert found[["node", "elapsed_s", "value"]].to_numpy().tolist() == [
        ["alpha", 0.5, 10],
        ["alpha", 1.5, 20],
        ["beta", 0.5, 30],
        ["beta", 1.5, 40],
    ]


def test_what_could_not_be_read_leaves_a_gap_and_moves_nothing() -> None:
    """The first CPU reading has nothing to compare with; the series of memory shows when monitoring began."""
    points = windows(CPU, [math.nan, 20.0]) + windows("system/system_memory_usage_percentage", [5.0, 6.0])
    assert points_of(frame({"trial": "run"}, points))[0] == ["host", "host_cpu_pct", 1.5, 20]


def test_a_sweep_that_nobody_watched_has_an_empty_frame_of_the_right_columns() -> None:
    assert list(empty().columns) == ["trial_id", "node", "source", "quantity", "elapsed_s", "value"]
    assert empty().empty
