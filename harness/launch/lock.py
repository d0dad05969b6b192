"""One driver per sweep: a lock on its folder, which the system releases when the driver dies for any reason."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from harness.errors import StorageError, UsageError


class LockHeld(UsageError):
    """Another driver runs this sweep."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file for as long as the context lasts.

    Raises:
        LockHeld: another driver holds it; the message says which process on which host.
        StorageError: the file system has no locks.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeld(f"another driver runs this sweep: {_holder(path)}; wait for it or stop it first") from error
        except OSError as error:
            raise StorageError(_no_locks(path.parent, error)) from error
        file.truncate(0)
        file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
        file.flush()
        yield


def is_locked(path: Path) -> bool:
    """Whether a driver holds the lock file now. A missing file is not held."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def lock_fault(folder: Path) -> str | None:
    """Return why sweeps cannot be locked on a folder's file system; None if they can. Nothing is created."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        return f"{folder} cannot be read: {error.strerror}"
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    except OSError as error:
        return _no_locks(folder, error)
    finally:
        os.close(descriptor)
    return None


def _no_locks(folder: Path, error: OSError) -> str:
    return (
        f"the file system of {folder} has no file locks ({error.strerror}), which keep two drivers from one sweep; "
        "mount it with locks (Lustre: flock, old NFS: a lock daemon), or name another folder with --storage"
    )


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError):
        return "its process is not known"
