"""The recorder's writes to a tracking store, seen through the store in memory."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import pytest

from harness.errors import TrackingUnreachable, UsageError
from harness.events import (
    ArtifactWritten,
    EpochEnded,
    Event,
    Monitored,
    SweepEnded,
    SweepStarted,
    TrialEnded,
    TrialStarted,
)
from harness.measure.system_names import MOST_SERIES
from harness.schema import METRICS, Outcome
from harness.storage import SweepFolder
from harness.tracking.mapping import dataset_input
from harness.tracking.memory import MemoryRun, MemoryTracker
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import Recorder
from harness.tracking.sample import Sample, trial_id
from harness.tracking.tracker import DatasetInput, Point, RejectedError

URI = "http://tracking.example:5000"
FIRST = trial_id(0)


@dataclass
class Desk:
    """A sweep's folder and the store in memory that its events go to."""

    folder: SweepFolder
    outbox: Outbox
    tracker: MemoryTracker

    def recorder(self, uri: str = URI) -> Recorder:
        return Recorder(self.outbox, self.folder.cursor, uri, self.folder, connect=lambda _: self.tracker)

    def write(self, *events: Event) -> None:
        for event in events:
            self.outbox.append(event)

    def file(self, name: str, content: str) -> None:
        path = self.folder.trial(FIRST) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def parent(self) -> MemoryRun:
        [run] = [run for run in self.tracker.runs.values() if run.record.tags["harness.kind"] == "sweep"]
        return run

    def run(self, trial: str = FIRST) -> MemoryRun:
        [run] = [run for run in self.tracker.runs.values() if run.record.tags.get("harness.trial_id") == trial]
        return run


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = SweepFolder(tmp_path / "sweep")
    folder.make()
    return Desk(folder, Outbox(folder.outbox), MemoryTracker())


def start(time_ms: int = 1_000) -> SweepStarted:
    return replace(Sample(trials=2).started(), time_ms=time_ms)


def begun(attempt: int = 1, time_ms: int = 2_000, trial: str = FIRST) -> TrialStarted:
    return TrialStarted(trial_id=trial, attempt=attempt, tags={"device.name": "Abacus 9"}, time_ms=time_ms)


def epoch(number: int, time_ms: int, **values: float) -> EpochEnded:
    series = values or {"train_loss": 0.5}
    return EpochEnded(
        trial_id=FIRST,
        attempt=1,
        epoch=number,
        values={key.replace("_", "/", 1): value for key, value in series.items()},
        time_ms=time_ms,
    )


def ended(outcome: Outcome = Outcome.FINISHED, time_ms: int = 9_000, **more: object) -> TrialEnded:
    return TrialEnded(**{"trial_id": FIRST, "attempt": 1, "outcome": outcome, "time_ms": time_ms, **more})  # type: ignore[arg-type]


def contents(tracker: MemoryTracker) -> list[MemoryRun]:
    return sorted(tracker.runs.values(), key=lambda run: run.record.run_id)


# The mapping


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
    desk.write(start(), begun(), epoch(1, 3_000, train_loss=2.25), epoch(2, 4_000, train_loss=1.5, val_loss=math.inf))
    desk.recorder().forward()
    assert desk.run().points == [
        Point("train/loss", 2.25, 3_000, 1),
        Point("train/loss", 1.5, 4_000, 2),
        Point("val/loss", math.inf, 4_000, 2),
    ]


def test_results_are_single_points_at_step_0(desk: Desk) -> None:
    desk.write(start(), begun(), ended(results={"final/val_error_pct": 7.25}))
    desk.recorder().forward()
    assert desk.run().points == [Point("final/val_error_pct", 7.25, 9_000, 0)]


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
    trained = ("train/", "val/", "final/", "throughput/", "time_to_error/", "schedule/", "time/train", "time/evaluate")
    for others in (timed, trained):
        assert len([key for key in METRICS if not key.startswith(others)]) + MOST_SERIES < 60


def test_what_was_seen_of_devices_is_points_at_their_own_times_and_tags(desk: Desk) -> None:
    key = "system/cpu_utilization_percentage"
    points = tuple({"time_ms": 3_000 + 10 * step, "step": step, "values": {key: 40.0 + step}} for step in range(2))
    desk.write(start(), begun(), Monitored(trial_id=FIRST, attempt=1, points=points, tags={"device.shared": "no"}))
    desk.recorder().forward()
    assert desk.run().points == [Point(key, 40.0, 3_000, 0), Point(key, 41.0, 3_010, 1)]
    assert desk.run().record.tags["device.shared"] == "no"


# Files


def test_step_times_arrive_as_parquet(desk: Desk) -> None:
    desk.file("steps.csv", "step,ms\n1,2.5\n2,2.25\n")
    desk.write(start(), begun(), ArtifactWritten(trial_id=FIRST, attempt=1, path="steps.csv", time_ms=5_000))
    desk.recorder().forward()
    assert list(desk.run().artifacts) == ["steps.parquet"]
    path = desk.folder.root / "back.parquet"
    path.write_bytes(desk.run().artifacts["steps.parquet"])
    assert pd.read_parquet(path).to_dict("list") == {"step": [1, 2], "ms": [2.5, 2.25]}


def test_other_files_arrive_as_they_are_in_the_folder_they_were_in(desk: Desk) -> None:
    desk.file("trace.txt", "Traceback\n")
    desk.file("profile/ops.json", "{}")
    for path in ("trace.txt", "profile/ops.json"):
        desk.write(*([start(), begun()] if path == "trace.txt" else []))
        desk.write(ArtifactWritten(trial_id=FIRST, attempt=1, path=path, time_ms=5_000))
    desk.recorder().forward()
    assert desk.run().artifacts == {"trace.txt": b"Traceback\n", "profile/ops.json": b"{}"}


@pytest.mark.parametrize("path", ["gone.txt", "../../../secret", "/etc/hostname", "empty/steps.csv"])
def test_a_file_that_cannot_be_sent_is_noted_and_the_rest_arrives(desk: Desk, path: str) -> None:
    desk.file("empty/steps.csv", "")
    desk.write(start(), begun(), ArtifactWritten(trial_id=FIRST, attempt=1, path=path, time_ms=5_000), ended())
    progress = desk.recorder().forward()
    assert (progress.waiting, progress.error) == (0, None)
    assert len(progress.problems) == 1
    assert path.rpartition("/")[2] in progress.problems[0]
    assert desk.run().record.status == "FINISHED"
    assert desk.run().artifacts == {}


# Sending again


def test_nothing_is_asked_of_the_store_when_nothing_is_new(desk: Desk) -> None:
    desk.write(*Sample().events())
    recorder = desk.recorder()
    recorder.forward()
    asked = desk.tracker.calls
    assert recorder.forward().waiting == 0
    assert desk.tracker.calls == asked


def test_sending_everything_again_changes_nothing(desk: Desk) -> None:
    desk.write(*Sample(trials=5).events())
    recorder = desk.recorder()
    recorder.forward()
    before = [replace(run, logged=dict(run.logged)) for run in contents(desk.tracker)]
    recorder.rewind()
    assert recorder.forward().sent == len(list(desk.outbox.read()))
    assert contents(desk.tracker) == before


class Flaky(MemoryTracker):
    """A store that goes away at its n-th call: before the work of the call, or after the work but before the answer."""

    def __init__(self, at: int, *, done: bool) -> None:
        super().__init__()
        self.at, self.done = at, done
        self.failed = False

    def create_run(self, experiment_id: str, *, name: str, start_ms: int, tags: Mapping[str, str]) -> str:
        run_id = super().create_run(experiment_id, name=name, start_ms=start_ms, tags=tags)
        return self._answer(run_id)

    def log(self, run_id: str, *, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        super().log(run_id, points=points, params=params, tags=tags)
        self._answer("")

    def log_dataset(self, run_id: str, dataset: DatasetInput) -> None:
        super().log_dataset(run_id, dataset)
        self._answer("")

    def _called(self) -> None:
        super()._called()
        if not self.done:
            self._answer("")

    def _answer(self, answer: str) -> str:
        if self.calls >= self.at and not self.failed:
            self.failed = True
            raise TrackingUnreachable("connection reset")
        return answer


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("at", range(2, 24))
def test_a_call_that_is_lost_anywhere_leaves_what_an_undisturbed_sweep_leaves(
    desk: Desk, tmp_path: Path, at: int, done: bool
) -> None:
    sample = Sample(trials=3, epochs=2)
    desk.write(*sample.events())
    desk.tracker = Flaky(at, done=done)
    recorder = desk.recorder()
    first = recorder.forward()
    second = recorder.forward()
    assert (first.error is None) == (not desk.tracker.failed)
    assert (second.waiting, second.error) == (0, None)

    calm = Desk(desk.folder, desk.outbox, MemoryTracker())
    desk.folder.cursor.unlink()
    calm.recorder().forward()
    assert essence(desk.tracker) == essence(calm.tracker)


def essence(tracker: MemoryTracker) -> list[object]:
    """Return everything that a reader sees, except run ids."""
    names = {run_id: run.record.name for run_id, run in tracker.runs.items()}
    return sorted(
        (
            run.record.name,
            run.record.status,
            run.record.start_ms,
            run.record.end_ms,
            sorted((key, names.get(value, value)) for key, value in run.record.tags.items()),
            sorted(run.record.params.items()),
            run.points,
            sorted(run.artifacts.items()),
            sorted(run.datasets),
        )
        for run in tracker.runs.values()
        if not run.deleted
    )


def test_a_crash_between_sending_and_remembering_costs_nothing(desk: Desk) -> None:
    desk.write(*Sample().events())
    desk.recorder().forward()
    before = essence(desk.tracker)
    desk.folder.cursor.unlink()
    assert desk.recorder().forward().waiting == 0
    assert essence(desk.tracker) == before


def test_a_new_recorder_goes_on_where_the_last_one_stopped(desk: Desk) -> None:
    events = list(Sample(trials=4).events())
    for event in events:
        desk.write(event)
        assert desk.recorder().forward().waiting == 0
    calm = Desk(desk.folder, desk.outbox, MemoryTracker())
    desk.folder.cursor.unlink()
    calm.recorder().forward()
    assert essence(desk.tracker) == essence(calm.tracker)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[1]", b'{"store": "x"}'])
def test_a_cursor_that_cannot_be_read_means_from_the_start(desk: Desk, content: bytes) -> None:
    desk.write(*Sample().events())
    desk.folder.cursor.write_bytes(content)
    assert desk.recorder().forward().sent == len(list(desk.outbox.read()))


def test_another_store_gets_everything(desk: Desk) -> None:
    desk.write(*Sample().events())
    desk.recorder().forward()
    desk.tracker = MemoryTracker()
    assert desk.recorder("http://other.example:5000").progress().sent == 0
    desk.recorder("http://other.example:5000").forward()
    assert desk.parent().record.status == "FINISHED"


def test_the_cursor_file_holds_no_password(desk: Desk) -> None:
    desk.write(start())
    desk.recorder("http://me:hunter2@tracking.example").forward()
    assert b"hunter2" not in desk.folder.cursor.read_bytes()


def test_a_store_that_lost_the_sweep_gets_all_of_it_again(desk: Desk) -> None:
    events = list(Sample().events())
    desk.write(*events[:-1])
    recorder = desk.recorder()
    recorder.forward()
    desk.tracker.runs.clear()
    desk.write(events[-1])
    progress = recorder.forward()
    assert (progress.waiting, progress.error) == (0, None)
    assert len(desk.tracker.runs) == 5
    assert desk.run().points[0].key == "final/val_error_pct"


def test_a_new_recorder_sends_all_of_it_to_a_store_that_lost_the_sweep(desk: Desk) -> None:
    events = list(Sample().events())
    desk.write(*events[:-1])
    desk.recorder().forward()
    desk.tracker.runs.clear()
    desk.write(events[-1])
    assert desk.recorder().forward().sent == len(events)
    assert len(desk.tracker.runs) == 5


def test_one_run_that_was_deleted_comes_back_whole(desk: Desk) -> None:
    desk.write(start(), begun(), epoch(1, 3_000))
    recorder = desk.recorder()
    recorder.forward()
    del desk.tracker.runs[desk.run().record.run_id]
    desk.write(epoch(2, 4_000), ended())
    assert recorder.forward().error is None
    assert [point.step for point in desk.run().points] == [1, 2]
    assert desk.run().record.params["model.depth"] == "8"


# When the store is away or refuses


def test_a_store_that_is_away_costs_nothing_but_time(desk: Desk) -> None:
    desk.write(*Sample().events())
    desk.tracker.away = True
    recorder = desk.recorder()
    away = recorder.forward()
    assert (away.sent, away.waiting) == (0, len(list(desk.outbox.read())))
    assert away.error is not None
    assert "away" in away.error
    desk.tracker.away = False
    back = recorder.forward()
    assert (back.waiting, back.error) == (0, None)


class Picky(MemoryTracker):
    """A store that refuses one metric for good, as MLflow refuses an invalid name."""

    def log(self, run_id: str, *, points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]) -> None:
        if any(point.key == "train/bad" for point in points):
            raise RejectedError("invalid metric name train/bad")
        super().log(run_id, points=points, params=params, tags=tags)


def test_one_value_that_is_refused_costs_no_other_and_is_told(desk: Desk) -> None:
    desk.tracker = Picky()
    desk.write(start(), begun(), epoch(1, 3_000, train_loss=1.0, train_bad=2.0, val_loss=3.0), ended())
    recorder = desk.recorder()
    progress = recorder.forward()
    assert progress.problems == ("invalid metric name train/bad",)
    assert (progress.waiting, progress.error) == (0, None)
    assert [point.key for point in desk.run().points] == ["train/loss", "val/loss"]
    assert desk.run().record.params["model.depth"] == "8"
    assert desk.recorder().progress().problems == progress.problems


class NoRoom(MemoryTracker):
    """A store whose artifact store takes no file."""

    def log_file(self, run_id: str, file: Path, folder: str | None = None) -> None:
        raise RejectedError(f"{file.name} is too large")


def test_files_that_are_refused_cost_no_run_its_end_and_are_told(desk: Desk) -> None:
    desk.tracker = NoRoom()
    desk.file("notes.txt", "1")
    written = ArtifactWritten(trial_id=FIRST, attempt=1, path="notes.txt")
    desk.write(start(), begun(), written, ended(), SweepEnded(status="finished"))
    progress = desk.recorder().forward()
    assert (progress.waiting, progress.error) == (0, None)
    files = ("workload.yaml", "trials.json", "plan.json", "environment.json", "notes.txt")
    assert progress.problems == tuple(f"{name} is too large" for name in files)
    assert {run.record.status for run in desk.tracker.runs.values()} == {"FINISHED"}


class Deleted(MemoryTracker):
    """A store whose experiment was deleted."""

    def ensure_experiment(self, name: str) -> str:
        raise RejectedError(f"experiment {name!r} was deleted; restore it")


def test_a_deleted_experiment_keeps_everything_waiting_and_says_why(desk: Desk) -> None:
    desk.write(*Sample().events())
    desk.tracker = Deleted()
    progress = desk.recorder().forward()
    assert progress.sent == 0
    assert progress.error == "experiment 'sample' was deleted; restore it"


def test_a_line_that_is_no_event_is_passed_over_and_told(desk: Desk) -> None:
    desk.write(start(), begun())
    with desk.outbox.path.open("ab") as file:
        file.write(b"\0\0\n")
    desk.write(ended())
    with desk.outbox.path.open("ab") as file:
        file.write(b"\0\0\n")
    progress = desk.recorder().forward()
    assert (progress.waiting, len(progress.problems)) == (0, 2)
    assert desk.run().record.status == "FINISHED"


def test_an_unusable_address_is_refused_at_once(desk: Desk) -> None:
    with pytest.raises(UsageError, match="htp"):
        desk.recorder("htp://nowhere")


class Slow(MemoryTracker):
    """A store that takes a moment for every call."""

    def _called(self) -> None:
        super()._called()
        time.sleep(0.02)


def test_little_time_at_once_is_enough_in_the_end(desk: Desk) -> None:
    desk.tracker = Slow()
    desk.write(*Sample(trials=12).events())
    recorder = desk.recorder()
    for _ in range(500):
        if recorder.forward(max_seconds=0.1).waiting == 0:
            break
    assert recorder.progress().waiting == 0
    assert len(desk.tracker.runs) == 13


# In the background


def drained(recorder: Recorder, seconds: float = 10.0) -> bool:
    return any(recorder.progress().waiting == 0 or time.sleep(0.01) for _ in range(int(seconds * 100)))


def test_the_background_sends_what_is_written_meanwhile(desk: Desk) -> None:
    recorder = desk.recorder()
    recorder.run_in_background(interval=0.01)
    desk.write(*Sample().events())
    assert drained(recorder)
    assert recorder.close(timeout=5).waiting == 0


def test_closing_sends_what_is_left(desk: Desk) -> None:
    recorder = desk.recorder()
    recorder.run_in_background(interval=60)
    desk.write(*Sample().events())
    assert recorder.close(timeout=10).waiting == 0


def test_closing_without_a_background_sends_what_is_left(desk: Desk) -> None:
    desk.write(*Sample().events())
    assert desk.recorder().close(timeout=10).waiting == 0


class Broken(MemoryTracker):
    """A store with an unexpected fault."""

    def check(self) -> None:
        raise ZeroDivisionError("a fault")


def test_a_fault_in_recording_is_told_and_ends_nothing(desk: Desk) -> None:
    desk.tracker = Broken()
    desk.write(start())
    recorder = desk.recorder()
    recorder.run_in_background(interval=0.01)
    progress = recorder.close(timeout=5)
    assert progress.error == "ZeroDivisionError: a fault"
    assert progress.waiting == 1
