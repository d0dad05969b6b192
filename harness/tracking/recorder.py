"""The recorder: sends a sweep's events in order from its outbox to a tracking store, and retries until all are sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import StorageError, TrackingUnreachable
from harness.events import Event, SweepEnded, SweepStarted, decode
from harness.storage import SweepFolder, write_atomic
from harness.tracking import address
from harness.tracking.outbox import Outbox
from harness.tracking.sender import DeadlineExceededError, RunsMissingError, Sender
from harness.tracking.tracker import NOT_STORED, ArtifactStoreUnreachable, RejectedError, Tracker

FIRST_BATCH = 256
LARGEST_BATCH = 4096
"""Largest number of events sent together. The cost is per run and request, so larger batches cost less per event."""
QUICK_S = 1.0
"""Target seconds for a batch: a faster one makes the next twice as large, a slower one half as large."""
MOST_PROBLEMS = 100
"""Most problems kept in the cursor; more than that are repetitions of one problem."""
LONGEST_PAUSE_S = 10.0
"""Longest pause in seconds between two tries to reach a store that does not answer."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """State of the forwarding of an outbox."""

    sent: int
    """Number of events that the store has."""
    waiting: int
    """Number of events that the store does not have yet."""
    error: str | None = None
    """Why the last try ended early; the waiting events are kept and tried again."""
    problems: tuple[str, ...] = ()
    """Messages about items that the store will never accept; they are left out for good."""

    def refusals(self) -> Iterator[str]:
        """Yield the messages about these items, with all files that have one reason in one message."""
        files: dict[str, list[str]] = {}
        for problem in self.problems:
            what, _, why = problem.partition(NOT_STORED)
            files.setdefault(why, []).append(what)
        for why, whats in files.items():
            if why and len(whats) > 1:
                yield f"{', '.join(whats)} are not stored: {why}"
            else:
                yield from (f"{what}{NOT_STORED}{why}" if why else what for what in whats)


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """Position in an outbox up to which one store has its events. A file beside the outbox keeps it."""

    store: str
    offset: int = 0
    sent: int = 0
    problems: tuple[str, ...] = field(default=())

    @classmethod
    def load(cls, path: Path, store: str) -> Cursor:
        """Return the cursor in a file; the start if there is no file, or if it belongs to another store."""
        try:
            found = json.loads(path.read_text())
            cursor = cls(**{**found, "problems": tuple(found["problems"])})
        except (OSError, ValueError, TypeError, KeyError):
            return cls(store=store)
        return cursor if cursor.store == store else cls(store=store)

    def save(self, path: Path) -> None:
        """Write the file."""
        fields = {"store": self.store, "offset": self.offset, "sent": self.sent, "problems": list(self.problems)}
        write_atomic(path, json.dumps(fields).encode())


def connect(tracking_uri: str) -> Tracker:
    """Return MLflow's tracker. MLflow is imported here, when it is first needed, because that takes seconds."""
    from harness.tracking.mlflow_tracker import MlflowTracker

    return MlflowTracker(tracking_uri)


class Recorder:
    """Forwards one outbox to one store. Sending an event twice changes nothing, so a crash loses nothing."""

    def __init__(
        self,
        outbox: Outbox,
        cursor_path: Path,
        tracking_uri: str,
        folder: SweepFolder,
        *,
        connect: Callable[[str], Tracker] = connect,
    ) -> None:
        """Create the recorder. Nothing is sent yet, and the store may be unreachable.

        Raises:
            UsageError: the tracking URI cannot be used.
        """
        self._outbox = outbox
        self._cursor_path = cursor_path
        self._uri = address.resolve(tracking_uri)
        self._folder = folder
        self._connect = connect
        self._cursor = Cursor.load(cursor_path, address.fingerprint(self._uri))
        self._sender: Sender | None = None
        self._sent_without_files = 0  # offset; the cursor waits for the files
        self._batch = FIRST_BATCH
        self._tail = (0, 0, 0)
        self._tracker: Tracker | None = None
        self._error: str | None = None
        self._busy = threading.Lock()
        self._stop = threading.Event()
        self._until: float | None = None
        self._thread: threading.Thread | None = None

    def progress(self) -> Progress:
        """Return the state of the forwarding, without sending anything."""
        cursor = self._cursor
        return Progress(
            sent=cursor.sent, waiting=self._waiting(cursor.offset), error=self._error, problems=cursor.problems
        )

    def rewind(self) -> None:
        """Send everything again, from the first event on."""
        with self._busy:
            self._restart()

    def forward(self, max_seconds: float | None = None) -> Progress:
        """Send the events that are not sent yet; give up as soon as the store does not answer.

        Args:
            max_seconds: begin no request to the store after this time, and wait no longer for another thread's.
        """
        until = None if max_seconds is None else time.monotonic() + max_seconds
        if not self._busy.acquire(timeout=-1 if max_seconds is None else max_seconds):
            return self.progress()  # another thread waits for an answer
        try:
            self._error = self._try_to_forward(until)
        finally:
            self._busy.release()
        return self.progress()

    def _try_to_forward(self, until: float | None) -> str | None:
        """Return why not all was sent; None if all was, or the time was over."""
        try:
            self._forward_or_restart(until)
        except (TrackingUnreachable, RejectedError, StorageError) as reason:
            self._sender = None  # its knowledge of the store may be out of date
            return str(reason)
        return None

    def run_in_background(self, interval: float = 1.0) -> None:
        """Forward every `interval` seconds, less often while the store is unreachable, until `close`."""
        self._thread = threading.Thread(target=self._run, args=(interval,), name="recorder", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 30.0) -> Progress:
        """Send the remaining events for at most about `timeout` seconds. Events not sent by then stay in the outbox."""
        if self._thread is None:
            return self.forward(timeout)
        self._until = time.monotonic() + timeout
        self._stop.set()
        self._thread.join(timeout)
        if not self._thread.is_alive():
            self._thread = None
        return self.progress()

    def _run(self, interval: float) -> None:
        pause = interval
        while True:
            stopping = self._stop.wait(pause)
            self._forward_whatever_happens()
            if stopping:
                return
            pause = interval if self._error is None else min(max(2 * pause, 0.5), LONGEST_PAUSE_S)

    def _forward_whatever_happens(self) -> None:
        try:
            self.forward(None if self._until is None else max(0.0, self._until - time.monotonic()))
        except Exception as error:  # noqa: BLE001  a fault in recording must not end the training it records
            self._error = address.hide(f"{type(error).__name__}: {error}", self._uri)

    def _waiting(self, offset: int) -> int:
        """Count the lines from an offset on. Lines counted before are not read again, because a display asks often."""
        since, counted, end = self._tail
        if since != offset:
            counted, end = 0, offset
        ends = [end, *(line_end for _, line_end in self._outbox.lines(end))]
        self._tail = (offset, counted + len(ends) - 1, ends[-1])
        return self._tail[1]

    def _forward_or_restart(self, until: float | None) -> None:
        try:
            self._forward(until)
        except RunsMissingError:
            self._restart()
            self._forward(until)

    def _forward(self, until: float | None) -> None:
        if next(self._outbox.lines(self._cursor.offset), None) is None:
            return
        sender = self._ready_sender()
        try:
            self._send_all(sender, until)
        except ArtifactStoreUnreachable:
            self._send_without_files(sender, until)
            raise

    def _send_without_files(self, sender: Sender, until: float | None) -> None:
        """Send what is left without files, so that an artifact store that is away delays nothing else.

        The cursor stays: all of it is sent again with its files, which changes nothing else.
        """
        self._sent_without_files = max(self._sent_without_files, self._cursor.offset)
        while True:
            events, end, _ = self._next_batch(self._sent_without_files)
            if end == self._sent_without_files:
                return
            try:
                sender.send(events, until, files=False)
            except DeadlineExceededError:
                return
            self._sent_without_files = end

    def _send_all(self, sender: Sender, until: float | None) -> None:
        while True:
            events, end, skipped = self._next_batch(self._cursor.offset)
            if end == self._cursor.offset:
                return
            began = time.monotonic()
            try:
                refused = sender.send(events, until) if events else []
            except DeadlineExceededError:
                self._batch = max(len(events) // 2, 1)
                return
            self._advance(end, len(events), [*skipped, *refused])
            if time.monotonic() - began < QUICK_S:
                self._batch = min(2 * self._batch, LARGEST_BATCH)

    def _ready_sender(self) -> Sender:
        """Return a sender that knows the sweep up to the cursor, on a store that answers."""
        if self._tracker is None:
            self._tracker = self._connect(self._uri)
        self._tracker.check()
        if self._sender is None:
            sender = Sender(self._tracker, self._folder)
            started = self._last_start()
            if started is not None:
                sender.restore(started)
            self._sender = sender
        return self._sender

    def _last_start(self) -> SweepStarted | None:
        """Return the last start of the sweep before the cursor."""
        last = None
        for line, end in self._outbox.lines():
            if end > self._cursor.offset:
                break
            if b'"SweepStarted"' in line and isinstance(event := decode(line.decode()), SweepStarted):
                last = event
        return last

    def _next_batch(self, offset: int) -> tuple[list[Event], int, list[str]]:
        """Return the events to send together, the offset behind them, and messages about skipped lines."""
        events: list[Event] = []
        skipped: list[str] = []

        def skip(message: str, end: int) -> None:
            nonlocal offset
            skipped.append(message)
            offset = end

        for event, end in self._outbox.read(offset, skipped=skip):
            alone = isinstance(event, SweepStarted | SweepEnded)
            if alone and events:
                break
            events.append(event)
            offset = end
            if alone or len(events) >= self._batch:
                break
        return events, offset, skipped

    def _advance(self, offset: int, sent: int, problems: list[str]) -> None:
        known = dict.fromkeys((*self._cursor.problems, *problems))
        self._cursor = replace(
            self._cursor, offset=offset, sent=self._cursor.sent + sent, problems=tuple(known)[:MOST_PROBLEMS]
        )
        self._save()

    def _restart(self) -> None:
        self._cursor = Cursor(store=self._cursor.store)
        self._sent_without_files = 0
        self._sender = None
        self._save()

    def _save(self) -> None:
        try:
            self._cursor.save(self._cursor_path)
        except OSError as error:
            raise StorageError(f"cursor {self._cursor_path} cannot be written: {error.strerror}") from error
