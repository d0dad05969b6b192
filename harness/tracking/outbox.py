"""The outbox: every event of a sweep as one line of JSON on the sweep's storage, written before MLflow gets it.

One process appends at a time: the driver, which holds the sweep's lock, or its queue. Any number of processes read.
A line counts once its end is written: a line that a crash cut short is neither read nor kept.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from harness.errors import StorageError
from harness.events import Event, SweepEnded, SweepStarted, TrialEnded, TrialStarted, decode, encode

_LASTING = (SweepStarted, TrialEnded, SweepEnded)
"""Events that survive a power cut as soon as `append` returns; the others survive only a killed process."""


class Outbox:
    """Append-only file of events. Reading needs no writer; the file is opened for writing at the first `append`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file: int | None = None

    def append(self, event: Event) -> None:
        """Write one event, whole or not at all.

        Raises:
            StorageError: the disk is full or the file cannot be written. Earlier events stay readable.
        """
        line = encode(event).encode() + b"\n"
        with self._lock:
            try:
                file = self._writer()
                _write_whole(file, line)
                if isinstance(event, _LASTING):
                    os.fsync(file)
            except OSError as error:
                raise StorageError(
                    f"outbox {self.path} cannot be written: {error.strerror}; make room on the disk or mend its "
                    "permissions, then start the sweep again: it goes on where it stopped"
                ) from error

    def sync(self) -> None:
        """Make every event survive a power cut too.

        Raises:
            StorageError: the disk cannot sync the file.
        """
        with self._lock:
            if self._file is None:
                return
            try:
                os.fsync(self._file)
            except OSError as error:
                raise StorageError(f"outbox {self.path} cannot be written: {error.strerror}") from error

    def read(
        self, offset: int = 0, *, skipped: Callable[[str, int], None] | None = None
    ) -> Iterator[tuple[Event, int]]:
        """Yield every complete event from a byte offset on, each with the offset behind it.

        Args:
            offset: 0, or one that an earlier `read` gave.
            skipped: called for each line that is not an event, with a message and the offset behind the line, which is
                skipped.

        Raises:
            StorageError: the file cannot be read, or a line is not an event and `skipped` is not given.
        """
        for line, end in self.lines(offset):
            try:
                event = decode(line.decode())
            except (ValueError, TypeError, AttributeError) as error:
                message = f"outbox {self.path}: the line before byte {end} is no event of this version: {error}"
                if skipped is None:
                    raise StorageError(message) from error
                skipped(message, end)
            else:
                yield event, end

    def lines(self, offset: int = 0) -> Iterator[tuple[bytes, int]]:
        """Yield every complete line from a byte offset on, each with the offset behind it. A missing file has none."""
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    offset += len(line)
                    yield line, offset
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"outbox {self.path} cannot be read: {error.strerror}") from error

    def close(self) -> None:
        """Close the file. A later `append` opens it again."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _writer(self) -> int:
        if self._file is None:
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
            _drop_torn_line(self._file)
        return self._file


def state(outbox: Outbox) -> dict[str, TrialEnded]:
    """Return the final end of each trial that has one, so that a restarted sweep need not ask MLflow for it.

    A trial that a resumed sweep started again after its end has no final end until it ends again.
    """
    ended: dict[str, TrialEnded] = {}
    for event, _ in outbox.read(skipped=_ignore):
        if isinstance(event, TrialStarted):
            ended.pop(event.trial_id, None)
        elif isinstance(event, TrialEnded) and event.final:
            ended[event.trial_id] = event
    return ended


def attempts(outbox: Outbox) -> dict[str, int]:
    """Return the number of the last attempt at each trial that was started."""
    last: Counter[str] = Counter()
    for event, _ in outbox.read(skipped=_ignore):
        if isinstance(event, TrialStarted):
            last[event.trial_id] = max(last[event.trial_id], event.attempt)
    return dict(last)


def starts(outbox: Outbox) -> Iterator[SweepStarted]:
    """Yield every start of the sweep."""
    for event, _ in outbox.read(skipped=_ignore):
        if isinstance(event, SweepStarted):
            yield event


def unfinished(outbox: Outbox) -> bool:
    """Whether the sweep began and has not ended: it runs, or its driver died.

    The holder of the sweep's lock can tell which, and can then append `SweepEnded(status="stopped")`, so that no run
    of the sweep stays `RUNNING` in MLflow.
    """
    running = False
    for event, _ in outbox.read(skipped=_ignore):
        if isinstance(event, SweepStarted | SweepEnded):
            running = isinstance(event, SweepStarted)
    return running


def _ignore(_message: str, _end: int) -> None:
    """Skip a line that cannot be read: at worst its trial runs once more."""


def _write_whole(file: int, line: bytes) -> None:
    before = os.fstat(file).st_size
    try:
        written = 0
        while written < len(line):
            written += os.write(file, line[written:])
    except OSError:
        with suppress(OSError):  # the first error is reported
            os.ftruncate(file, before)
        raise


def _drop_torn_line(file: int) -> None:
    """Cut off an incomplete last line, which a crash may have left."""
    size = os.fstat(file).st_size
    end = size
    while end > 0:
        start = max(0, end - 65536)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(file, end)
