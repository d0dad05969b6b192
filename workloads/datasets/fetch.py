"""Download of one official file at a time. It is moved into place only when it is complete and its digest fits."""

from __future__ import annotations

import contextlib
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from workloads.datasets.files import OfficialFile
from workloads.datasets.spec import Remote

TIMEOUT_S = 60.0
"""Seconds that a server may be silent."""


def fetch(remote: Remote, folder: Path) -> Path:
    """Download a file into a folder, and make the folder if needed. A wrong file of that name is replaced.

    Raises:
        ConnectionError: the server does not answer, or breaks off.
        ValueError: the download is not the official file; it is deleted.
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / remote.file.name
    with _temporary(folder) as file:
        _download(remote.url, file)
        file.flush()
        os.fsync(file.fileno())
        fault = _fault(remote.file, Path(file.name))
        if fault:
            raise ValueError(f"what {remote.url} gave {fault}. Nothing was kept")
        Path(file.name).chmod(0o644)
        Path(file.name).replace(target)
    return target


def is_here(remote: Remote, folder: Path) -> bool:
    """Return whether a folder holds the file already."""
    path = folder / remote.file.name
    return path.is_file() and _fault(remote.file, path) is None


def _download(url: str, file: IO[bytes]) -> None:
    if not url.startswith(("https://", "http://")):
        raise ValueError(f"{url} is neither http nor https")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310  the scheme is checked above
            shutil.copyfileobj(answer, file, 2**20)
            expected = answer.headers.get("Content-Length")
    except (HTTPException, TimeoutError, urllib.error.URLError, ConnectionError) as error:
        raise ConnectionError(f"{url} cannot be fetched: {getattr(error, 'reason', error)}") from error
    if expected is not None and file.tell() < int(expected):
        raise ConnectionError(f"{url} broke off after {file.tell():,} of {int(expected):,} bytes")


def _fault(file: OfficialFile, path: Path) -> str | None:
    return file.fault(path.read_bytes())


@contextlib.contextmanager
def _temporary(folder: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file that is deleted at the end, unless it was renamed."""
    with NamedTemporaryFile(dir=folder, prefix=".fetching-", delete=False) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)
