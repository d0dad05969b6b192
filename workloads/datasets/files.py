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
    """A root that stays the same wherever it is used: a URL as it is, a path made absolute."""
    return root if "://" in root else os.path.abspath(os.path.expanduser(root))  # noqa: PTH100, PTH111  URLs are no paths


def digest_of(*parts: str) -> str:
    """64 hexadecimal digits from some texts, in order."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Entry(NamedTuple):
    """One entry of a folder."""

    is_folder: bool
    size: int
    """In bytes."""


class Finding(NamedTuple):
    """What a check says of one file or folder."""

    place: str
    fault: str | None
    """None where it is as it should be."""


@dataclass(frozen=True)
class Place:
    """A file or folder, there or not, by its path or URL."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.url.rstrip('/')}/{name}")

    def is_file(self) -> bool:
        """Whether it is there, and a file."""
        with self._opened() as (system, path):
            return bool(system.isfile(path))

    def is_readable(self) -> bool:
        """Whether a path is there and may be read; no URL is asked."""
        return os.access(self.url, os.R_OK)

    def is_folder(self) -> bool:
        """Whether it is there, and a folder."""
        with self._opened() as (system, path):
            return bool(system.isdir(path))

    def read(self) -> bytes:
        """All of a file.

        Raises:
            OSError: it is not there, or cannot be read.
        """
        if self.is_local:  # photographs are read one by one, and fsspec takes longer than the disk
            return Path(self.url).read_bytes()
        with self._opened() as (system, path), system.open(path, "rb") as file:
            return bytes(file.read())

    def entries(self) -> dict[str, Entry]:
        """What is in a folder, by name."""
        if self.is_local:  # fsspec asks the system four times as much of every file
            with os.scandir(self.url) as found:
                return {entry.name: Entry(entry.is_dir(), entry.stat().st_size) for entry in found}
        with self._opened() as (system, path):
            return {
                _last(entry["name"]): Entry(_is_folder(entry), entry["size"] or 0)
                for entry in system.ls(path, detail=True)
            }

    @property
    def is_local(self) -> bool:
        """Whether it is a path."""
        return "://" not in self.url

    @contextmanager
    def _opened(self) -> Iterator[tuple[AbstractFileSystem, str]]:
        import fsspec

        try:
            system, path = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:  # a library that is not installed; a kind of URL that nobody knows
            raise ValueError(f"{self.url} cannot be opened here: {error}") from error
        yield system, path


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _is_folder(entry: dict[str, Any]) -> bool:
    return bool(entry["type"] == "directory")


@dataclass(frozen=True, kw_only=True)
class OfficialFile:
    """A file that is known by what is in it."""

    name: str
    digest: str
    """Algorithm and hexadecimal digits: `md5:...`."""
    size: int | None = None
    """In bytes, where it is published."""

    def fault(self, content: bytes) -> str | None:
        """What is wrong with a file that should be this one."""
        if self.size is not None and len(content) < self.size:
            return f"is truncated: {len(content):,} of {self.size:,} bytes"
        found = digest_in(content, self.digest)
        if found == self.digest:
            return None
        algorithm, _, expected = self.digest.partition(":")
        return f"is not the official file: its {algorithm.upper()} is {found.partition(':')[2]}, and must be {expected}"

    def checked(self, content: bytes, place: Place) -> bytes:
        """The content, if it is this file's.

        Raises:
            ValueError: it is not.
        """
        fault = self.fault(content)
        if fault:
            raise ValueError(f"{place} {fault}. Remove it, and fetch it again")
        return content


def finding(place: Place, file: OfficialFile) -> Finding:
    """What a check says of a file."""
    try:
        return Finding(str(place), file.fault(place.read()))
    except OSError as error:
        return Finding(str(place), "is missing" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}")


def digest_in(content: bytes, kind: str) -> str:
    """The digest of a content, made as another one was: `md5:...` for `md5:...`."""
    algorithm = kind.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, content, usedforsecurity=False).hexdigest()}"
