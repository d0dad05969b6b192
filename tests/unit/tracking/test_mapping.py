"""The runs that the events of a sweep become in a tracking store."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from harness.events import Monitored, SweepEnded
from harness.measure.system_names import MOST_SERIES
from harness.schema import METRICS, Outcome
from harness.tracking.mapping import dataset_input
from harness.tracking.tracker import Point
from tests.unit.tracking.conftest import FIRST, Desk, begun, ended, epoch, start


@pytest.mark.parametrize(
    ("root", "source_type", "source"),
    [
        (None, "code", {"tags": {}, "origin": "there"}),
        ("/data/cifar", "local", {"uri": "/data/cifar", "origin": "there"}),
        ("s3://bucket/cifar", "s3", {"uri": "s3://bucket/cifar", "origin": "there"}),
    ],
)
def test_where_data_lay_is_a_source_that_mlflow_can_read(
    root: str | None, source_type: str, source: dict[str, object]
) -> None:
    record = {"name": "cifar10", "digest": "ab", "root": root, "origin": "there", "profile": {}}
    found = dataset_input(record)
    assert (found.source_type, json.loads(found.source)) == (source_type, source)


def test_an_outbox_of_before_data_sets_were_recorded_is_sent_all_the_same(desk: Desk) -> None:
    before = [{key: value for key, value in trial.items() if key != "dataset"} for trial in start().trials]
    desk.write(replace(start(), trials=tuple(before)), begun())
    assert desk.recorder().forward().problems == ()
    assert desk.run().datasets == {}


def test_the_parent_run_tells_where_the_sweeps_files_are(desk: Desk) -> None:
    desk.write(replace(start(), environment={"host": "alpha", "storage": "/shared/runs"}))
    desk.recorder().forward()
    assert desk.parent().record.tags["harness.storage"] == "alpha:/shared/runs"


def test_the_parent_run_tells_what_the_sweep_is(desk: Desk) -> None:
    desk.write(start())
    desk.recorder().forward()
    parent = desk.parent()
    assert desk.tracker.experiments == {"sample": parent.experiment_id}
    assert (parent.record.name, parent.record.status, parent.record.start_ms) == ("sample-1", "RUNNING", 1_000)
    assert parent.record.tags == {
        "harness.kind": "sweep",
        "harness.sweep_id": "5a3b1e00",
        "mlflow.note.content": "An **invented** sweep.",
        "git.commit": "0" * 40,
        "git.dirty": "false",
        "mlflow.source.git.commit": "0" * 40,
    }
    assert sorted(parent.artifacts) == ["environment.json", "plan.json", "trials.json", "workload.yaml"]
    assert parent.artifacts["workload.yaml"] == b"name: sample\n"


def test_text_that_no_store_takes_costs_a_question_mark(desk: Desk) -> None:
    broken = "a\ud800 \N{GRINNING FACE} b"
    desk.write(replace(start(), description=broken, workload_text=broken), begun(), ended(reason=broken))
    assert desk.recorder().forward().error is None
    assert desk.parent().record.tags["mlflow.note.content"] == "a? \N{GRINNING FACE} b"
    assert desk.parent().artifacts["workload.yaml"].decode() == "a? \N{GRINNING FACE} b"
    assert desk.run().record.tags["harness.reason"] == "a? \N{GRINNING FACE} b"


def test_a_trial_is_a_child_run_with_its_settings_as_params(desk: Desk) -> None:
    desk.write(start(), begun())
    desk.recorder().forward()
    run = desk.run().record
    assert (run.name, run.status, run.start_ms, run.end_ms) == ("resnet-8-A seed 0", "RUNNING", 2_000, None)
    assert run.params == {
        "model.depth": "8",
        "model.shortcut": "A",
        "recipe.lr": "0.1",
        "recipe.nesterov": "False",
        "seed": "0",
    }
    [dataset] = desk.run().datasets.values()
    assert (dataset.name, dataset.source_type) == ("digits", "code")
    assert dataset.digest == "0123456789ab"  # as much as a column shows
    assert json.loads(dataset.profile) == {"train_images": 1442, "classes": 10}
    assert run.tags == {
        "mlflow.parentRunId": desk.parent().record.run_id,
        "harness.kind": "trial",
        "harness.sweep_id": "5a3b1e00",
        "harness.trial_id": FIRST,
        "harness.cell_id": "c000000000000000",
        "harness.label": "resnet-8-A",
        "harness.attempt": "1",
        "harness.outcome": "running",
        "device.name": "Abacus 9",
        "git.commit": "0" * 40,
        "git.dirty": "false",
        "mlflow.source.git.commit": "0" * 40,
    }


def test_an_epoch_is_a_point_of_each_series_at_its_own_time(desk: Desk) -> None:
    desk.write(start(), begun(), epoch(1, 3_000, train_loss=2.25), epoch(2, 4_000, train_loss=1.5, test_loss=math.inf))
    desk.recorder().forward()
    assert desk.run().points == [
        Point("test/loss", math.inf, 4_000, 2),
        Point("train/loss", 2.25, 3_000, 1),
        Point("train/loss", 1.5, 4_000, 2),
    ]


def test_results_are_single_points_at_step_0(desk: Desk) -> None:
    desk.write(start(), begun(), ended(results={"final/test_error_pct": 7.25}))
    desk.recorder().forward()
    assert desk.run().points == [Point("final/test_error_pct", 7.25, 9_000, 0)]


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("finished", "FINISHED"),
        ("diverged", "FINISHED"),
        ("failed", "FAILED"),
        ("out_of_memory", "FAILED"),
        ("timed_out", "FAILED"),
        ("infeasible", "FAILED"),
        ("stopped", "KILLED"),
    ],
)
def test_the_final_outcome_ends_the_run(desk: Desk, outcome: str, status: str) -> None:
    desk.write(start(), begun(), ended(Outcome(outcome), reason="two\n lines"))
    desk.recorder().forward()
    run = desk.run().record
    assert (run.status, run.end_ms) == (status, 9_000)
    assert (run.tags["harness.outcome"], run.tags["harness.reason"]) == (outcome, "two lines")


def test_an_attempt_that_is_tried_again_leaves_the_run_running(desk: Desk) -> None:
    desk.write(start(), begun(), ended(Outcome.FAILED, final=False, reason="worker died"))
    desk.recorder().forward()
    run = desk.run().record
    assert (run.status, run.tags["harness.outcome"]) == ("RUNNING", "running")
    assert run.tags["harness.reason"] == "attempt 1: failed: worker died"


def test_a_second_attempt_goes_on_in_the_same_run(desk: Desk) -> None:
    desk.write(start(), begun(), ended(Outcome.FAILED, final=False), begun(attempt=2, time_ms=9_500))
    desk.write(ended(time_ms=12_000, attempt=2))
    desk.recorder().forward()
    run = desk.run().record
    assert (run.start_ms, run.end_ms, run.tags["harness.attempt"]) == (2_000, 12_000, "2")
    assert (run.tags["harness.outcome"], run.tags["harness.reason"]) == ("finished", "")


def test_a_trial_that_could_never_start_has_a_run_too(desk: Desk) -> None:
    desk.write(start(), ended(Outcome.INFEASIBLE, reason="4 GPUs asked for, 0 there"))
    desk.recorder().forward()
    run = desk.run().record
    assert (run.start_ms, run.end_ms, run.status) == (9_000, 9_000, "FAILED")
    assert run.params["model.depth"] == "8"


@pytest.mark.parametrize(("word", "status"), [("finished", "FINISHED"), ("failed", "FAILED"), ("stopped", "KILLED")])
def test_the_end_of_the_sweep_ends_its_run(desk: Desk, word: str, status: str) -> None:
    desk.write(start(), SweepEnded(status=word, time_ms=20_000))
    desk.recorder().forward()
    assert (desk.parent().record.status, desk.parent().record.end_ms) == (status, 20_000)


def test_no_child_is_left_running_when_the_sweep_has_ended(desk: Desk) -> None:
    desk.write(start(), begun(), SweepEnded(status="stopped", time_ms=20_000))
    desk.recorder().forward()
    run = desk.run().record
    assert (run.status, run.end_ms, run.tags["harness.outcome"]) == ("KILLED", 20_000, "stopped")
    assert run.tags["harness.reason"] == "the sweep ended before this trial did"


def test_a_sweep_that_starts_again_goes_on_in_its_runs(desk: Desk) -> None:
    desk.write(start(), begun(), ended(Outcome.STOPPED), SweepEnded(status="stopped", time_ms=20_000))
    desk.recorder().forward()
    desk.write(start(30_000), begun(attempt=2, time_ms=31_000))
    desk.recorder().forward()
    assert (desk.parent().record.status, desk.parent().record.start_ms) == ("RUNNING", 1_000)
    assert (desk.run().record.status, desk.run().record.tags["harness.outcome"]) == ("RUNNING", "running")


def test_texts_longer_than_mlflow_takes_are_cut_and_marked(desk: Desk) -> None:
    trial = {**start().trials[0], "settings": {"recipe.name": "x" * 7_000}}
    desk.write(replace(start(), trials=(trial,)), ended(Outcome.FAILED, reason="y" * 9_000))
    desk.recorder().forward()
    run = desk.run().record
    assert run.params["recipe.name"] == "x" * 5_999 + "…"
    assert run.tags["harness.reason"] == "y" * 4_999 + "…"


def test_a_run_has_fewer_than_sixty_metric_keys() -> None:
    """A trial either trains or is timed."""
    timed = ("parts/", "roofline/", "speed/block_", "speed/warm", "speed/settled", "speed/drift", "device/matmul",
             "device/copy", "speed/measured_peak")  # fmt: skip
    trained = ("train/", "test/", "final/", "throughput/", "time_to_error/", "schedule/", "time/train", "time/evaluate")
    for others in (timed, trained):
        assert len([key for key in METRICS if not key.startswith(others)]) + MOST_SERIES < 60


def test_what_was_seen_of_devices_is_points_at_their_own_times_and_tags(desk: Desk) -> None:
    key = "system/cpu_utilization_percentage"
    points = tuple({"time_ms": 3_000 + 10 * step, "step": step, "values": {key: 40.0 + step}} for step in range(2))
    desk.write(start(), begun(), Monitored(trial_id=FIRST, attempt=1, points=points, tags={"device.shared": "no"}))
    desk.recorder().forward()
    assert desk.run().points == [Point(key, 40.0, 3_000, 0), Point(key, 41.0, 3_010, 1)]
    assert desk.run().record.tags["device.shared"] == "no"
