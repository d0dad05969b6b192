"""Runs and points become frames; unknown values stay unknown."""

from __future__ import annotations

import math
import sys
from typing import Any

import pandas as pd

from harness.tracking.frames import curves, trials
from harness.tracking.tracker import Point, RunRecord, Status


def listed(trial: str, **settings: Any) -> dict[str, Any]:
    return {"id": trial, "cell_id": f"cell-{trial}", "label": "resnet-8-A", "seed": 0, "settings": settings}


def run(
    run_id: str,
    *,
    status: Status = "FINISHED",
    tags: dict[str, str] | None = None,
    metrics: dict[str, float] | None = None,
) -> RunRecord:
    found = {"harness.outcome": "finished", "harness.attempt": "1", "mlflow.user": "somebody", **(tags or {})}
    return RunRecord(run_id=run_id, name="", status=status, start_ms=0, end_ms=None, tags=found, metrics=metrics or {})


def test_every_listed_trial_has_a_row_in_the_lists_order() -> None:
    frame = trials([listed("b"), listed("a"), listed("c")], {"a": run("r1")})
    assert list(frame["trial_id"]) == ["b", "a", "c"]
    assert list(frame["outcome"]) == ["missing", "finished", "missing"]
    assert list(frame["run_id"].isna()) == [True, False, True]
    assert list(frame["attempt"].isna()) == [True, False, True]


def test_settings_keep_their_types() -> None:
    frame = trials([listed("a", **{"model.depth": 8, "recipe.lr": 0.1, "model.shortcut": "A", "x": True})], {})
    assert frame.loc[0, "model.depth"] == 8
    assert pd.api.types.is_integer_dtype(frame["model.depth"])
    assert frame.loc[0, "recipe.lr"] == 0.1
    assert frame["x"].dtype == bool


def test_single_metrics_are_columns_and_series_are_not() -> None:
    metrics = {"final/test_error_pct": 7.5, "test/error_pct": 7.5, "system/cpu": 3.0}
    frame = trials([listed("a"), listed("b")], {"a": run("r1", metrics=metrics), "b": run("r2")})
    assert frame.loc[0, "final/test_error_pct"] == 7.5
    assert math.isnan(frame.loc[1, "final/test_error_pct"])
    assert {"test/error_pct", "system/cpu"}.isdisjoint(frame.columns)


def test_tags_are_columns_but_for_mlflows_own() -> None:
    frame = trials([listed("a")], {"a": run("r1", tags={"device.name": "H200", "harness.reason": ""})})
    assert frame.loc[0, "device.name"] == "H200"
    assert [column for column in frame.columns if column.startswith(("mlflow.", "harness."))] == []
    assert frame.loc[0, "reason"] is None


def test_a_run_that_runs_is_running_whatever_its_tag_says() -> None:
    frame = trials([listed("a")], {"a": run("r1", status="RUNNING", tags={"harness.outcome": "failed"})})
    assert list(frame["outcome"]) == ["running"]


def test_a_run_that_somebody_else_ended_was_stopped() -> None:
    frame = trials([listed("a")], {"a": run("r1", status="KILLED", tags={"harness.outcome": "running"})})
    assert list(frame["outcome"]) == ["stopped"]


def test_curves_are_ordered_by_trial_key_and_epoch() -> None:
    points = [
        ("r1", Point("test/loss", 1.0, 5, 2)),
        ("r2", Point("train/loss", 2.0, 5, 1)),
        ("r1", Point("test/loss", 3.0, 5, 1)),
        ("r1", Point("train/loss", 4.0, 5, 10)),
    ]
    frame = curves({"z": "r1", "a": "r2"}, points)
    assert frame.to_numpy().tolist() == [
        ["z", "test/loss", 1, 3.0],
        ["z", "test/loss", 2, 1.0],
        ["z", "train/loss", 10, 4.0],
        ["a", "train/loss", 1, 2.0],
    ]


def test_of_an_epoch_that_ran_twice_the_later_stands_in_whatever_order_they_come() -> None:
    points = [("r", Point("test/loss", 1.0, 100, 3)), ("r", Point("test/loss", 9.0, 200, 3))]
    for order in (points, points[::-1]):
        assert curves({"a": "r"}, order).to_numpy().tolist() == [["a", "test/loss", 3, 9.0]]


def test_two_points_of_one_moment_give_the_same_frame_in_either_order() -> None:
    points = [("r", Point("test/loss", 1.0, 100, 3)), ("r", Point("test/loss", math.nan, 100, 3))]
    assert curves({"a": "r"}, points).equals(curves({"a": "r"}, points[::-1]))


def test_infinity_comes_back_from_a_database_that_cannot_hold_it() -> None:
    limit = sys.float_info.max
    points = [("r", Point("test/loss", limit, 1, 1)), ("r", Point("test/loss", -limit, 1, 2))]
    assert list(curves({"a": "r"}, points)["value"]) == [math.inf, -math.inf]
    frame = trials([listed("a")], {"a": run("r", metrics={"final/test_loss": limit})})
    assert list(frame["final/test_loss"]) == [math.inf]


def test_a_series_that_was_resumed_under_its_new_name_is_one_series() -> None:
    points = [
        ("r", Point("val/loss", 3.0, 100, 1)),
        ("r", Point("val/loss", 2.0, 200, 2)),
        ("r", Point("test/loss", 1.5, 400, 2)),
        ("r", Point("test/loss", 1.0, 500, 3)),
    ]
    for order in (points, points[::-1]):
        assert list(curves({"a": "r"}, order)["key"]) == ["test/loss"] * 3
        assert list(curves({"a": "r"}, order)["value"]) == [3.0, 1.5, 1.0]


def test_a_result_under_a_former_name_is_read_and_one_under_todays_name_comes_first() -> None:
    old, both = {"final/val_error_pct": 9.0}, {"final/val_error_pct": 9.0, "final/test_error_pct": 7.0}
    frame = trials([listed("a"), listed("b")], {"a": run("r1", metrics=old), "b": run("r2", metrics=both)})
    assert list(frame["final/test_error_pct"]) == [9.0, 7.0]
    assert "final/val_error_pct" not in frame


def test_no_points_give_an_empty_frame_of_the_right_columns() -> None:
    frame = curves({}, [])
    assert list(frame.columns) == ["trial_id", "key", "epoch", "value"]
    assert frame.empty
