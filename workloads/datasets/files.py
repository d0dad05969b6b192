"""Files of data sets: in a folder of this machine, or behind any URL that fsspec knows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def located(root: str) -> str:
    """Return a root that does not depend on the current folder: a URL unchanged, a path made absolute."""
    return root if "://" in root else os.path.abspath(os.path.expanduser(root))  # noqa: PTH100, PTH111  URLs are no paths


def digest_of(*parts: str) -> str:
    """Return 64 hexadecimal digits from some texts, in order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Entry(NamedTuple):
    """One entry of a folder."""

    is_folder: bool
    size: int
    """Size in bytes."""


class FileCheck(NamedTuple):
    """The result of checking one file or folder."""

    location: str
    fault: str | None
    """The fault, None if it is correct."""


@dataclass(frozen=True)
class Location:
    """A file or folder, existing or not, by its path or URL."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> Location:
        return Location(f"{self.url.rstrip('/')}/{name}")

    def is_file(self) -> bool:
        """Return whether there is a file at this location."""
        with self._opened() as (system, path):
            return bool(system.isfile(path))

    def is_readable(self) -> bool:
        """Return whether a path exists and may be read; URLs are not requested."""
        return os.access(self.url, os.R_OK)

    def is_folder(self) -> bool:
        """Return whether there is a folder at this location."""
        with self._opened() as (system, path):
            return bool(system.isdir(path))

    def read(self) -> bytes:
        """Return the content of a file.

        Raises:
            OSError: it does not exist, or cannot be read.
        """
        if self.is_local:  # photographs are read one by one, and fsspec takes longer than the disk
            return Path(self.url).read_bytes()
        with self._opened() as (system, path), system.open(path, "rb") as file:
            return bytes(file.read())

    def entries(self) -> dict[str, Entry]:
        """Return the entries of a folder, by name."""
        if self.is_local:  # fsspec makes four times as many system calls for every file
            with os.scandir(self.url) as found:
                return {entry.name: Entry(entry.is_dir(), entry.stat().st_size) for entry in found}
        with self._opened() as (system, path):
            return {
                _last(entry["name"]): Entry(_is_folder(entry), entry["size"] or 0)
                for entry in system.ls(path, detail=True)
            }

    @property
    def is_local(self) -> bool:
        """Whether it is a path of this machine, and not a URL."""
        return "://" not in self.url

    @contextmanager
    def _opened(self) -> Iterator[tuple[AbstractFileSystem, str]]:
        import fsspec

        try:
            system, path = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:  # a library that is not installed; an unknown kind of URL
            raise ValueError(f"{self.url} cannot be opened here: {error}") from error
        yield system, path


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _is_folder(entry: dict[str, Any]) -> bool:
    return bool(entry["type"] == "directory")


@dataclass(frozen=True, kw_only=True)
class OfficialFile:
    """A file that is identified by its content."""

    name: str
    digest: str
    """Algorithm and hexadecimal digits: `md5:...`."""
    size: int | None = None
    """Size in bytes, if it is published."""

    def fault(self, content: bytes) -> str | None:
        """Return the fault of content that should be this file's."""
        if self.size is not None and len(content) < self.size:
            return f"is truncated: {len(content):,} of {self.size:,} bytes"
        found = digest_in(content, self.digest)
        if found == self.digest:
            return None
        algorithm, _, expected = self.digest.partition(":")
        return f"is not the official file: its {algorithm.upper()} is {found.partition(':')[2]}, and must be {expected}"

    def checked(self, content: bytes, location: Location) -> bytes:
        """Return the content, if it is this file's.

        Raises:
            ValueError: it is not.
        """
        fault = self.fault(content)
        if fault:
            raise ValueError(f"{location} {fault}. Remove it, and fetch it again")
        return content


def check_file(location: Location, file: OfficialFile) -> FileCheck:
    """Compare a file with the official one."""
    try:
        return FileCheck(str(location), file.fault(location.read()))
    except OSError as error:
        fault = "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        return FileCheck(str(location), fault)


def digest_in(content: bytes, kind: str) -> str:
    """Return the digest of a content, with the algorithm of another digest: `md5:...` for `md5:...`."""
    algorithm = kind.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()}"
