"""The outbox: every event of a sweep as one line of JSON on the sweep's storage, written before MLflow gets it.

One process appends at a time: the driver, which holds the sweep's lock, or its queue. Any number of processes read.
A line counts once its end is written: a line that a crash cut short is neither read nor kept.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import StorageError
from harness.events import EpochEnded, Event, SweepEnded, SweepStarted, TrialEnded, TrialStarted, decode, encode
from harness.schema import with_current_keys

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
                event = _with_current_keys(decode(line.decode()))
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


@dataclass(frozen=True, kw_only=True)
class History:
    """A sweep's past, as its outbox records it up to an offset."""

    ends: Mapping[str, TrialEnded] = field(default_factory=dict)
    """Trial id -> its final end. A trial that was started again after its end has none until it ends again."""
    attempts: Mapping[str, int] = field(default_factory=dict)
    """Trial id -> number of its last attempt."""
    storages: frozenset[str] = frozenset()
    """Storage folders of every start of the sweep, each as `host:folder`."""
    unfinished: bool = False
    """Whether the sweep began and has not ended: it runs, or its driver died.

    The holder of the sweep's lock can tell which, and can then append `SweepEnded(status="stopped")`, so that no run
    of the sweep stays `RUNNING` in MLflow.
    """
    offset: int = 0


def read_history(outbox: Outbox, since: History | None = None) -> History:
    """Read what an outbox records of its sweep.

    Lines that cannot be read are skipped: at worst a trial runs once more.

    Args:
        outbox: the sweep's outbox.
        since: the history up to its offset, from where this one goes on; None for the beginning.

    Raises:
        StorageError: the file cannot be read.
    """
    since = since or History()
    ends, attempts, storages = dict(since.ends), dict(since.attempts), set(since.storages)
    unfinished, offset = since.unfinished, since.offset
    for event, end in outbox.read(offset, skipped=lambda _message, _end: None):
        offset = end
        match event:
            case TrialStarted(trial_id=trial_id, attempt=attempt):
                ends.pop(trial_id, None)
                attempts[trial_id] = max(attempts.get(trial_id, 0), attempt)
            case TrialEnded(final=True):
                ends[event.trial_id] = event
            case SweepStarted(storage=storage):
                unfinished = True
                storages |= {storage} if storage else set()
            case SweepEnded():
                unfinished = False
    return History(ends=ends, attempts=attempts, storages=frozenset(storages), unfinished=unfinished, offset=offset)


def _with_current_keys(event: Event) -> Event:
    """Return the event with the keys that metrics have today, in place of former ones."""
    match event:
        case EpochEnded():
            return replace(event, values=with_current_keys(event.values))
        case TrialEnded():
            return replace(event, results=with_current_keys(event.results))
        case _:
            return event


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
