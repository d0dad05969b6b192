"""Access to MLflow during a launch: available from the start, or deliberately left for later."""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from harness.launch.sweep import IN_OUTBOX, Sweep
from harness.options import RunOptions
from harness.signals import StopSignal
from harness.tracking.recorder import Progress, Recorder
from harness.tracking.waiting import waiting_for_mlflow

FLUSH_S = 10.0
"""Seconds that the end of a sweep waits for MLflow before it looks whether MLflow still takes events and the user still
waits."""
STOPPED_FLUSH_S = 3.0
"""The same wait in seconds if the user asked the sweep to stop."""


class Tracking(Protocol):
    """Interface of a launch to the tracking server."""

    available: bool
    """Whether reports can be made."""

    def finished(self, trial_ids: Sequence[str], sweep_id: str | None) -> Mapping[str, str]:
        """Return trial id -> run id of the trials that have a result, in one sweep or, for None, in any."""
        ...

    def running_at(self, sweep_id: str) -> str | None:
        """Return the place of a running sweep's files, `host:folder`; None if it is not recorded as running."""
        ...

    def recording(self, sweep: Sweep, stop: StopSignal) -> contextlib.AbstractContextManager[Callable[[], Progress]]:
        """Forward the sweep's events while the context lasts; it gives a function that returns the progress."""
        ...


class NoTracking:
    """MLflow is not installed here: events stay in the outbox until `harness sync` sends them from elsewhere."""

    available = False

    def finished(self, trial_ids: Sequence[str], sweep_id: str | None) -> Mapping[str, str]:  # noqa: ARG002
        """Return nothing, because nothing is known."""
        return {}

    def running_at(self, sweep_id: str) -> str | None:  # noqa: ARG002
        """Return None, because nothing is known."""
        return None

    @contextlib.contextmanager
    def recording(self, sweep: Sweep, stop: StopSignal) -> Iterator[Callable[[], Progress]]:  # noqa: ARG002
        """Send nothing."""
        yield lambda: Progress(sent=0, waiting=0)


class MlflowTracking:
    """The server (or database) at the command's tracking URI."""

    available = True

    def __init__(self, options: RunOptions) -> None:
        from harness.tracking.prepare import prepare

        self._options = options
        # Here, once, before any worker exists: two processes creating one SQLite database race.
        prepare(options.tracking_uri, options.experiment)

    def finished(self, trial_ids: Sequence[str], sweep_id: str | None) -> Mapping[str, str]:
        """Return trial id -> run id of the trials that have a result, in one sweep or, for None, in any."""
        from harness.tracking.results import finished_trials

        return finished_trials(self._options.tracking_uri, self._options.experiment, trial_ids, sweep_id)

    def running_at(self, sweep_id: str) -> str | None:
        """Return the place of a running sweep's files, `host:folder`; None if it is not recorded as running."""
        from harness.tracking.results import running_at

        return running_at(self._options.tracking_uri, self._options.experiment, sweep_id)

    @contextlib.contextmanager
    def recording(self, sweep: Sweep, stop: StopSignal) -> Iterator[Callable[[], Progress]]:
        """Forward the sweep's events in the background, and the last ones on leaving."""
        recorder = Recorder(sweep.outbox, sweep.folder.cursor, self._options.tracking_uri, sweep.folder)
        if IN_OUTBOX in sweep.done.values() and not recorder.progress().waiting:
            # The cursor says that all was sent, but the store lacks results: it was emptied or replaced.
            recorder.rewind()
        recorder.run_in_background()
        try:
            yield recorder.progress
        finally:
            _flush(recorder, stop, self._options)


def _flush(recorder: Recorder, stop: StopSignal, options: RunOptions) -> None:
    """Send the remaining events: all that the server accepts, but only for a short time if the user asked to stop."""
    hint = f"Ctrl-C ends this; what is not sent by then is sent by `harness sync {options.storage}`."
    with waiting_for_mlflow(options.tracking_uri, "to take the last events", hint):
        progress = recorder.close(STOPPED_FLUSH_S if stop.is_set() else FLUSH_S)
        while progress.waiting and progress.error is None and not stop.is_set():
            progress = recorder.forward(FLUSH_S)


def open_tracking(options: RunOptions) -> Tracking:
    """Return the tracking server, checked.

    Raises:
        TrackingUnreachable: the server does not answer; nothing has started yet.
        UsageError: the tracking URI cannot be used.
    """
    if options.launcher == "inline" and importlib.util.find_spec("mlflow") is None:
        return NoTracking()
    return MlflowTracking(options)
