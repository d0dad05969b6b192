"""The recorder where the place of files does not answer: all else goes in, and the files follow."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from harness.events import ArtifactWritten
from harness.storage import SweepFolder
from harness.tracking.memory import MemoryTracker
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import Progress
from harness.tracking.sample import Sample, trial_id
from tests.unit.tracking.conftest import Desk, essence

SAMPLE = Sample(trials=5, files=("steps.csv", "trace-1.txt"))


def with_files(desk: Desk) -> Desk:
    for index in range(SAMPLE.trials):
        for name in SAMPLE.files:
            path = desk.folder.trial(trial_id(index)) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("step,ms\n1,2.5\n")
    return desk


def statuses(desk: Desk) -> set[str]:
    return {run.record.status for run in desk.tracker.runs.values()}


@pytest.fixture
def expected(tmp_path: Path) -> list[object]:
    """Return what the store holds of the sample after a sending that nothing disturbed."""
    folder = SweepFolder(tmp_path / "undisturbed")
    folder.make()
    desk = with_files(Desk(folder, Outbox(folder.outbox), MemoryTracker()))
    desk.write(*SAMPLE.events())
    assert desk.recorder().forward().problems == ()
    return essence(desk.tracker)


def test_all_but_files_goes_in_and_the_files_follow(desk: Desk, expected: list[object]) -> None:
    with_files(desk).write(*SAMPLE.events())
    desk.tracker.files_away = True
    recorder = desk.recorder()
    for _ in range(2):
        progress = recorder.forward()
        assert (progress.sent, progress.waiting, progress.problems) == (0, len(list(SAMPLE.events())), ())
        assert "the place of files" in str(progress.error)
        assert statuses(desk) == {"FINISHED"}
        assert [len(run.points) for run in desk.tracker.runs.values() if run.record.params] == [3 * 6 + 3] * 5
        assert not any(run.artifacts for run in desk.tracker.runs.values())
    desk.tracker.files_away = False
    progress = recorder.forward()
    assert (progress.waiting, progress.error, progress.problems) == (0, None, ())
    assert essence(desk.tracker) == expected


def test_it_may_go_away_and_come_back_at_every_event(desk: Desk, expected: list[object]) -> None:
    recorder = with_files(desk).recorder()
    for number, event in enumerate(SAMPLE.events()):
        desk.write(event)
        desk.tracker.files_away = number % 3 > 0
        recorder = desk.recorder() if number % 7 == 0 else recorder  # also after a crash
        recorder.forward()
    desk.tracker.files_away = False
    assert recorder.forward().waiting == 0
    assert essence(desk.tracker) == expected


def test_what_was_sent_without_files_is_not_sent_again_at_every_try(desk: Desk) -> None:
    with_files(desk).write(*SAMPLE.events())
    desk.tracker.files_away = True
    recorder = desk.recorder()
    recorder.forward()
    first, desk.tracker.calls = desk.tracker.calls, 0
    recorder.forward()
    assert desk.tracker.calls < first / 3


def test_a_tracking_server_that_goes_away_too_is_what_is_reported(desk: Desk) -> None:
    with_files(desk).write(*SAMPLE.events())
    desk.tracker.files_away = True
    recorder = desk.recorder()
    recorder.forward()
    desk.write(replace(ArtifactWritten(trial_id=trial_id(0), attempt=1, path="steps.csv"), time_ms=1))
    desk.tracker.away = True
    assert "set to be away" in str(recorder.forward().error)
    assert recorder.progress().waiting > 0


def test_who_may_wait_only_some_time_does_not_wait_for_a_thread_that_waits_for_an_answer(desk: Desk) -> None:
    asked, answer = threading.Event(), threading.Event()

    def check() -> None:
        asked.set()
        answer.wait(60)

    desk.write(*SAMPLE.events())
    desk.tracker.check = check  # type: ignore[method-assign]
    recorder = desk.recorder()
    thread = threading.Thread(target=recorder.forward)
    thread.start()
    assert asked.wait(60)
    assert recorder.forward(0.01).waiting > 0
    answer.set()
    thread.join(60)
    assert recorder.progress().waiting == 0


def test_files_that_have_one_reason_are_named_in_one_message() -> None:
    problems = (
        "artifact a.json is not stored: no room; mend it",
        "param b of run 1 cannot become 2",
        "artifact c.json is not stored: no room; mend it",
        "artifact d.json is not stored: too large",
    )
    assert list(Progress(sent=0, waiting=0, problems=problems).refusals()) == [
        "artifact a.json, artifact c.json are not stored: no room; mend it",
        "param b of run 1 cannot become 2",
        "artifact d.json is not stored: too large",
    ]
