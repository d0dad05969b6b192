"""`harness sync`: send the events that wait in the outboxes of a storage folder to MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.cli.output import emit, note
from harness.errors import ExitCode, HarnessError, StorageError, TrackingUnreachable
from harness.events import SweepEnded
from harness.launch.lock import LockHeld, locked
from harness.storage import SweepFolder
from harness.tracking.outbox import Outbox, read_history
from harness.tracking.recorder import Recorder, connect
from harness.tracking.waiting import waiting_for_mlflow


def sync_storage(storage: Path, tracking_uri: str) -> ExitCode:
    """Forward every outbox, even if another one fails.

    Returns:
        FAILED if a sweep could not be sent, or if MLflow refused an item for good.

    Raises:
        StorageError: the folder cannot be read, or holds no sweep.
        UsageError: the tracking URI cannot be used.
        TrackingUnreachable: the store does not answer; the waiting events are kept.
    """
    folders = list(_sweeps(storage))
    if not folders:
        raise StorageError(f"storage folder {storage} holds no sweep; name the folder that `harness run --storage` had")
    codes, failures = [ExitCode.OK], []
    for folder in folders:
        try:
            codes.append(_sync_unless_locked(folder, tracking_uri))
        except TrackingUnreachable as error:
            _check_store(tracking_uri, error)
            failures.append(f"{folder.root.name}: {error}")
        except Exception as error:  # noqa: BLE001  a fault in one sweep must not delay the results of the others
            kind = "" if isinstance(error, HarnessError) else f"{type(error).__name__}: "
            failures.append(f"{folder.root.name}: {kind}{error}")
    if failures:
        note(
            "\n  ".join([f"{len(failures)} of {len(folders)} sweeps could not be sent; what waits is kept", *failures])
        )
    return ExitCode.FAILED if failures else max(codes)


def _check_store(tracking_uri: str, found: TrackingUnreachable) -> None:
    """Raise an error found while a sweep was sent, unless the store answers: then only that sweep is at fault."""
    try:
        connect(tracking_uri).check()
    except TrackingUnreachable:
        raise found from None


def _sweeps(storage: Path) -> Iterator[SweepFolder]:
    """Yield the sweeps in a storage folder. The folder of a single sweep is accepted too."""
    try:
        paths = sorted(path for path in (storage, *storage.iterdir()) if (path / "outbox.jsonl").is_file())
    except OSError as error:
        raise StorageError(f"storage folder {storage} cannot be read: {error.strerror}") from error
    return map(SweepFolder, paths)


def _sync_unless_locked(folder: SweepFolder, tracking_uri: str) -> ExitCode:
    """Send a sweep's events unless its driver runs, which sends them itself."""
    try:
        return _sync(folder, tracking_uri)
    except LockHeld as lock_held:
        note(f"{folder.root.name}: {lock_held}")
        return ExitCode.OK


def _sync(folder: SweepFolder, tracking_uri: str) -> ExitCode:
    outbox = Outbox(folder.outbox)
    with locked(folder.lock):
        if read_history(outbox).unfinished:  # its driver died: nobody holds the lock
            outbox.append(SweepEnded(status="stopped"))
        hint = "Ctrl-C ends this; what is not sent by then is kept."
        with waiting_for_mlflow(tracking_uri, f"to take the events of {folder.root.name}", hint):
            progress = Recorder(outbox, folder.cursor, tracking_uri, folder).forward()
    for problem in progress.refusals():
        note(f"{folder.root.name}: refused for good: {problem}")
    if progress.error is not None:
        raise TrackingUnreachable(f"{progress.error}; {progress.waiting:,} events of {folder.root.name} still wait")
    emit(f"{folder.root.name}: all {progress.sent:,} events are in MLflow")
    return ExitCode.FAILED if progress.problems else ExitCode.OK
