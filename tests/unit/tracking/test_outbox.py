from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from harness.errors import StorageError
from harness.events import EpochEnded, Event, SweepEnded, TrialEnded, TrialStarted
from harness.schema import Outcome
from harness.tracking.outbox import Outbox, read_history
from harness.tracking.sample import Sample


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox.jsonl")


def started(trial: str, attempt: int = 1) -> TrialStarted:
    return TrialStarted(trial_id=trial, attempt=attempt, tags={}, time_ms=1)


def epoch(trial: str, number: int) -> EpochEnded:
    return EpochEnded(trial_id=trial, attempt=1, epoch=number, values={"train/loss": 0.5}, time_ms=2)


def ended(trial: str, outcome: Outcome = Outcome.FINISHED, *, attempt: int = 1, final: bool = True) -> TrialEnded:
    return TrialEnded(trial_id=trial, attempt=attempt, outcome=outcome, final=final, time_ms=3)


def events_of(outbox: Outbox, offset: int = 0) -> list[Event]:
    return [event for event, _ in outbox.read(offset)]


def test_what_is_appended_is_read_in_order(outbox: Outbox) -> None:
    written = [started("a"), epoch("a", 1), ended("a")]
    for event in written:
        outbox.append(event)
    assert events_of(outbox) == written


def test_metrics_of_an_earlier_version_are_read_by_todays_names(outbox: Outbox) -> None:
    former = {"train/loss": 1.0, "val/loss": 2.0, "val/error_top5_pct": 3.0}
    outbox.append(EpochEnded(trial_id="a", attempt=1, epoch=1, values=former))
    outbox.append(TrialEnded(trial_id="a", attempt=1, outcome=Outcome.FINISHED, results={"final/val_images": 360.0}))
    first, last = events_of(outbox)
    assert isinstance(first, EpochEnded)
    assert first.values == {"train/loss": 1.0, "test/loss": 2.0, "test/error_top5_pct": 3.0}
    assert isinstance(last, TrialEnded)
    assert last.results == {"final/test_images": 360.0}


def test_an_outbox_that_was_never_written_holds_nothing(outbox: Outbox) -> None:
    assert events_of(outbox) == []
    assert not outbox.path.exists()


def test_reading_goes_on_from_any_offset_that_reading_gave(outbox: Outbox) -> None:
    written = [epoch("ä", number) for number in range(1, 6)]
    for event in written:
        outbox.append(event)
    offsets = [end for _, end in outbox.read()]
    assert offsets[-1] == outbox.path.stat().st_size
    assert [events_of(outbox, offset) for offset in offsets] == [written[n:] for n in range(1, 6)]


def test_what_is_appended_while_somebody_reads_is_found_by_the_next_read(outbox: Outbox) -> None:
    outbox.append(started("a"))
    [(_, offset)] = outbox.read()
    outbox.append(ended("a"))
    assert events_of(outbox, offset) == [ended("a")]


@pytest.mark.parametrize("lost", [1, 2, 40])
def test_a_line_torn_by_a_crash_is_not_read(outbox: Outbox, lost: int) -> None:
    outbox.append(started("a"))
    outbox.append(epoch("a", 1))
    whole = outbox.path.read_bytes()
    outbox.path.write_bytes(whole[:-lost])
    assert events_of(outbox) == [started("a")]


def test_the_first_append_after_a_crash_cuts_the_torn_line_off(outbox: Outbox) -> None:
    outbox.append(started("a"))
    with outbox.path.open("ab") as file:
        file.write(b'{"event": "EpochEnded", "trial_id"')
    after = Outbox(outbox.path)
    after.append(ended("a"))
    assert events_of(after) == [started("a"), ended("a")]
    assert outbox.path.read_bytes().count(b"\n") == 2


def test_a_torn_line_longer_than_any_buffer_is_cut_off_too(outbox: Outbox) -> None:
    outbox.append(started("a"))
    with outbox.path.open("ab") as file:
        file.write(b"x" * 200_000)
    after = Outbox(outbox.path)
    after.append(ended("a"))
    assert events_of(after) == [started("a"), ended("a")]


def test_an_outbox_that_is_nothing_but_a_torn_line_becomes_empty(outbox: Outbox) -> None:
    outbox.path.write_bytes(b'{"event"')
    outbox.append(started("a"))
    assert events_of(outbox) == [started("a")]


def test_a_line_that_is_no_event_is_an_error_unless_somebody_is_told(outbox: Outbox) -> None:
    outbox.append(started("a"))
    with outbox.path.open("ab") as file:
        file.write(b"\0\0\0\n")
        file.write(json.dumps({"event": "TrialEnded", "of_another_version": 1}).encode() + b"\n")
        file.write(b"[]\n")
    outbox.append(ended("a"))
    with pytest.raises(StorageError, match="is no event"):
        events_of(outbox)
    told: list[tuple[str, int]] = []
    read = [event for event, _ in outbox.read(skipped=lambda message, end: told.append((message, end)))]
    assert read == [started("a"), ended("a")]
    assert len(told) == 3
    assert told[0][1] == outbox.path.read_bytes().index(b"\0\0\0\n") + 4


def test_a_full_disk_is_a_storage_error_and_leaves_no_half_line(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox.append(started("a"))
    before = outbox.path.read_bytes()
    write = os.write
    calls: list[int] = []

    def full_after_ten_bytes(file: int, content: bytes) -> int:
        calls.append(file)
        if len(calls) == 1:
            return write(file, content[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full_after_ten_bytes)
    with pytest.raises(StorageError, match="No space left on device"):
        outbox.append(ended("a"))
    assert outbox.path.read_bytes() == before
    monkeypatch.undo()
    outbox.append(ended("a"))
    assert events_of(outbox) == [started("a"), ended("a")]


def test_a_real_full_device_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match="No space left on device"):
        Outbox(Path("/dev/full")).append(started("a"))


def test_an_outbox_in_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        Outbox(tmp_path / "nowhere" / "outbox.jsonl").append(started("a"))


def test_events_that_must_survive_a_power_cut_are_synced(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    for event in (started("a"), epoch("a", 1)):
        outbox.append(event)
    assert synced == []
    for lasting in (ended("a"), SweepEnded(status="finished", time_ms=4)):
        outbox.append(lasting)
    assert len(synced) == 2


def test_a_closed_outbox_opens_again_by_itself(outbox: Outbox) -> None:
    outbox.append(started("a"))
    outbox.close()
    outbox.append(ended("a"))
    assert len(events_of(outbox)) == 2


def test_the_history_has_the_final_end_of_each_trial(outbox: Outbox) -> None:
    for event in (
        started("done"),
        started("retried"),
        ended("done", Outcome.DIVERGED),
        ended("retried", Outcome.FAILED, final=False),
        started("retried", 2),
        started("interrupted"),
    ):
        outbox.append(event)
    history = read_history(outbox)
    assert history.ends == {"done": ended("done", Outcome.DIVERGED)}
    assert history.attempts == {"done": 1, "retried": 2, "interrupted": 1}


def test_a_trial_started_again_after_its_end_has_not_ended(outbox: Outbox) -> None:
    for event in (started("a"), ended("a", Outcome.STOPPED), started("a", 2)):
        outbox.append(event)
    before = read_history(outbox)
    assert before.ends == {}
    outbox.append(ended("a", attempt=2))
    assert read_history(outbox).ends == {"a": ended("a", attempt=2)}


def test_a_history_goes_on_where_it_ended_and_reads_nothing_twice(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for event in (Sample().started(), started("a"), ended("a", Outcome.STOPPED), started("b")):
        outbox.append(event)
    before = read_history(outbox)
    for event in (started("a", 2), ended("b"), SweepEnded(status="stopped", time_ms=9)):
        outbox.append(event)
    offsets: list[int] = []
    lines = Outbox.lines
    monkeypatch.setattr(Outbox, "lines", lambda self, offset=0: offsets.append(offset) or lines(self, offset))
    after = read_history(outbox, before)
    assert offsets == [before.offset]
    assert after == read_history(outbox)
    assert (after.ends, after.attempts, after.unfinished) == ({"b": ended("b")}, {"a": 2, "b": 1}, False)


def test_a_sweep_is_unfinished_from_its_start_to_its_end_and_again_when_it_is_resumed(outbox: Outbox) -> None:
    told = [read_history(outbox).unfinished]
    start, end = Sample().started(), SweepEnded(status="stopped", time_ms=9)
    for event in (start, started("a"), end, start, end):
        outbox.append(event)
        told.append(read_history(outbox).unfinished)
    assert told == [False, True, True, False, True, False]
