"""The current execution of a workload: the first, or the newest that was started with `--fresh`.

A file beside the sweep's folders names it, so that the plain command continues the one that `--fresh` began.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from harness.errors import StorageError
from harness.storage import child, write_atomic

FIRST = ""
"""Generation of a workload that `--fresh` did not start: the one that shares results with other sweeps."""


def new() -> str:
    """Return a new, unique generation."""
    return uuid.uuid4().hex


def current(storage: Path, sweep: str) -> str:
    """Return the generation that `keep` stored last for a sweep; the first one if there is none.

    Raises:
        StorageError: the file cannot be read, or does not name a generation.
    """
    path = _path(storage, sweep)
    try:
        found = path.read_text().strip()
    except FileNotFoundError:
        return FIRST
    except OSError as error:
        raise StorageError(
            f"storage folder {path.parent} cannot be read: {error.strerror}; name another with --storage"
        ) from error
    if not re.fullmatch("[0-9a-f]{32}", found):
        raise StorageError(f"{path} does not name a generation; remove it, and the sweep's first one is continued")
    return found


def keep(storage: Path, sweep: str, generation: str) -> None:
    """Make a generation the current one.

    Raises:
        StorageError: the file cannot be written.
    """
    path = _path(storage, sweep)
    try:
        write_atomic(path, f"{generation}\n".encode())
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror}") from error


def _path(storage: Path, sweep: str) -> Path:
    return child(storage, f"{sweep}.generation")
