"""Words about a wait that takes long."""

from __future__ import annotations

import threading

import pytest

from harness import waits
from harness.waits import say_on_stderr, waiting_for


def test_a_short_wait_says_nothing_and_a_long_one_says_for_what_since_when_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[str] = []
    told = threading.Semaphore(0)

    def say(text: str) -> None:
        lines.append(text)
        told.release()

    with waiting_for("nothing", say=say):
        pass
    assert lines == []
    monkeypatch.setattr(waits, "FIRST_S", 0.01)
    monkeypatch.setattr(waits, "AGAIN_S", 0.01)
    with waiting_for("a head to answer", "Ctrl-C ends this.", say=say):
        assert told.acquire(timeout=30)
        assert told.acquire(timeout=30), "it is said again"
    assert lines[0] == "Waiting for a head to answer for 0 s. Ctrl-C ends this."


def test_a_terminal_that_is_gone_is_no_reason_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Gone())
    say_on_stderr("nobody reads this")
