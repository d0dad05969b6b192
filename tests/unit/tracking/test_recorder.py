"""The recorder: what it sends again after a crash or a lost call, and its work in the background."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import TrackingUnreachable, UsageError
from harness.tracking.memory import MemoryTracker
from harness.tracking.recorder import Recorder
from harness.tracking.sample import Sample
from harness.tracking.tracker import DatasetInput, Point
from tests.unit.tracking.conftest import Desk, begun, contents, ended, essence, start


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
