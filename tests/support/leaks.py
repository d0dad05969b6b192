"""A search for secrets where they must not be: in files, and in the command lines of processes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import psutil


def files_with(secret: str, *folders: Path) -> list[Path]:
    """Return the files in these folders that contain a secret. Files that vanish meanwhile do not count."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*")):
        with contextlib.suppress(OSError):
            if path.is_file() and secret.encode() in path.read_bytes():
                found.append(path)
    return found


def command_lines(processes: Iterable[psutil.Process]) -> list[str]:
    """Return the command lines of processes, without those that have ended."""
    lines = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return lines
