"""Waits for MLflow: each says after some seconds what is waited for, and what the user can do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness import waits
from harness.launch import tracking
from harness.options import RunOptions
from harness.signals import StopSignal
from harness.tracking import prepare as preparing
from harness.tracking import results
from harness.tracking.recorder import Progress, Recorder

URI = "http://me:planted@tracking.example:5000"


class Slow(Exception):
    """The end of a call that has waited until a line was printed."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Let waits speak at once, and return a function that waits for a line and returns it."""
    monkeypatch.setattr(waits, "FIRST_S", 0.01)

    def wait() -> str:
        printed = ""
        deadline = time.monotonic() + 30
        while "\n" not in printed and time.monotonic() < deadline:
            printed += capsys.readouterr().err
            time.sleep(0.01)
        return printed

    return wait


@pytest.mark.parametrize(
    ("call", "task"),
    [
        (lambda: preparing.prepare(URI, "sample"), "to answer"),
        (lambda: results.load_sweep(URI), "to give a sweep's results"),
        (lambda: results.list_sweeps(URI), "to list its sweeps"),
        (lambda: results.finished_trials(URI, "sample", ["t1"]), "to find earlier runs"),
        (lambda: results.running_at(URI, "sample", "s1"), "to find earlier runs"),
        (lambda: results.log_report(URI, "r1", Path("out/small")), "to take the report"),
    ],
)
def test_each_wait_for_mlflow_is_said(
    monkeypatch: pytest.MonkeyPatch, told: Callable[[], str], call: Callable[[], object], task: str
) -> None:
    lines: list[str] = []

    def connect(*_: object, **__: object) -> None:
        lines.append(told())
        raise Slow

    monkeypatch.setattr("harness.tracking.mlflow_store.MlflowStore.__init__", connect)
    with pytest.raises(Slow):
        call()
    assert lines[0].startswith(f"Waiting for MLflow at http://***@tracking.example:5000 {task} for 0 s. Ctrl-C ends ")


class SlowRecorder:
    """A recorder that never has all of its events sent, and makes progress."""

    def __init__(self, after: Callable[[], None]) -> None:
        self.after, self.limits = after, [0.0]

    def forward(self, max_seconds: float) -> Progress:
        self.limits.append(max_seconds)
        self.after()
        return Progress(sent=1, waiting=1)

    close = forward


def test_the_last_events_are_waited_for_aloud_and_a_stop_ends_the_wait(told: Callable[[], str]) -> None:
    stop, lines = threading.Event(), []

    def after() -> None:
        lines.append(told())
        stop.set()

    recorder = SlowRecorder(after)
    options = SimpleNamespace(tracking_uri=URI, storage=Path("/shared/runs"))
    tracking._flush(cast("Recorder", recorder), cast("StopSignal", stop), cast("RunOptions", options))
    assert "to take the last events for 0 s. Ctrl-C ends this; what is not sent by then is sent by" in lines[0]
    assert "`harness sync /shared/runs`" in lines[0]
    assert len(recorder.limits) == 2, "it asked for the stop before the next part"
    assert max(recorder.limits) <= 10, "a user who stops waits for no longer"
