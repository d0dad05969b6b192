"""IDX files, the format of MNIST and similar sets: plain, or packed by gzip. Every digest is checked before parsing."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.files import FileCheck, Location, OfficialFile
from workloads.datasets.parts import Part


@dataclass(frozen=True, kw_only=True)
class IdxFiles:
    """The four files of a set, each identified by its content, packed or not."""

    train_images: OfficialFile
    train_labels: OfficialFile
    test_images: OfficialFile
    test_labels: OfficialFile

    @property
    def all(self) -> tuple[OfficialFile, ...]:
        """The four files."""
        return self.train_images, self.train_labels, self.test_images, self.test_labels

    def read(self, locations: Iterable[Location]) -> tuple[Part, Part]:
        """Return training and test images: uint8 [N, 1, H, W] and int64 [N].

        Raises:
            FileNotFoundError, ValueError: a file is missing, or not the official one.
        """
        folder = self.folder(list(locations))
        train, train_labels, test, test_labels = (array(_checked(folder, file)) for file in self.all)
        return (train[:, None], train_labels.astype(np.int64)), (test[:, None], test_labels.astype(np.int64))

    def check_files(self, locations: Iterable[Location]) -> Iterator[FileCheck]:
        """Check the files in the first location that has any of them, and yield a result for each."""
        try:
            folder = self.folder(list(locations))
        except FileNotFoundError as error:
            yield FileCheck("", str(error))
            return
        for file in self.all:
            yield _check_file(folder, file)

    def missing(self, locations: Iterable[Location]) -> str | None:
        """Return a message on the files that are missing or unreadable, found by their names alone.

        Raises:
            FileNotFoundError: none of them is there.
        """
        folder = self.folder(list(locations))
        for file in self.all:
            found = find(folder, file)
            if found is None:
                return _missing(folder, file)
            if not found.is_readable():
                return f"{found} may not be read"
        return None

    def folder(self, locations: list[Location]) -> Location:
        """Return the first location that has any of the files."""
        for location in locations:
            if any(find(location, file) for file in self.all):
                return location
        names = ", ".join(f"{file.name}[.gz]" for file in self.all)
        raise FileNotFoundError(f"none of {names} in {' or '.join(map(str, locations))}")


def find(folder: Location, file: OfficialFile) -> Location | None:
    """Return the file in a folder, plain or packed."""
    found = (location for location in (folder / file.name, folder / f"{file.name}.gz") if location.is_file())
    return next(found, None)


def unpacked(location: Location) -> bytes:
    """Return the content of a file, unpacked if its name ends in `.gz`.

    Raises:
        ValueError: it cannot be unpacked.
    """
    content = location.read()
    if not location.url.endswith(".gz"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{location} is truncated or altered: {error}. Remove it, and fetch it again") from error


def array(content: bytes) -> NDArray[np.uint8]:
    """Return the array of an IDX file: two zeros, 8 (unsigned bytes), number of dimensions, each as 4 bytes, values."""
    assert content[:3] == b"\x00\x00\x08", "not unsigned bytes, in a file whose digest fits"
    dimensions = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=dimensions, offset=4).tolist()
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def _missing(folder: Location, file: OfficialFile) -> str:
    return f"{folder / file.name} is missing, and so is {file.name}.gz beside it"


def _check_file(folder: Location, file: OfficialFile) -> FileCheck:
    location = find(folder, file)
    if location is None:
        return FileCheck(str(folder / file.name), _missing(folder, file).removeprefix(f"{folder / file.name} "))
    try:
        return FileCheck(str(location), file.fault(unpacked(location)))
    except (OSError, ValueError) as error:
        return FileCheck(str(location), str(error).removeprefix(f"{location} "))


def _checked(folder: Location, file: OfficialFile) -> bytes:
    location = find(folder, file)
    if location is None:
        raise FileNotFoundError(_missing(folder, file))
    return file.checked(unpacked(location), location)
