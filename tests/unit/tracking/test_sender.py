"""Stores that lose runs, or refuse values, files or the whole sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.events import ArtifactWritten, SweepEnded
from harness.tracking.memory import MemoryTracker
from harness.tracking.sample import Sample
from harness.tracking.tracker import Point, RejectedError
from tests.unit.tracking.conftest import FIRST, Desk, begun, ended, epoch, start


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
    assert desk.run().points[0].key == "final/test_error_pct"


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
    desk.write(start(), begun(), epoch(1, 3_000, train_loss=1.0, train_bad=2.0, test_loss=3.0), ended())
    recorder = desk.recorder()
    progress = recorder.forward()
    assert progress.problems == ("invalid metric name train/bad",)
    assert (progress.waiting, progress.error) == (0, None)
    assert [point.key for point in desk.run().points] == ["test/loss", "train/loss"]
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
