"""From official CIFAR archives, packed or unpacked, to images and labels. Every digest is checked before parsing."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from workloads.datasets.cifar_official import Official, Version
from workloads.datasets.files import FileCheck, Location, OfficialFile, check_file
from workloads.datasets.parts import Part

SIDE, CHANNELS = 32, 3
PIXELS = CHANNELS * SIDE * SIDE


@dataclass(frozen=True, kw_only=True)
class Source:
    """One version of the images, and its location."""

    version: Version
    location: Location
    """The archive, or the folder to which it unpacks."""
    packed: bool

    def files(self) -> Iterator[tuple[Location, OfficialFile]]:
        """Yield the expected files: the archive, or the files of the folder."""
        if self.packed:
            yield self.location, self.version.archive
        else:
            for file in (*self.version.train, *self.version.test):
                yield self.location / file.name, file

    def contents(self, files: Iterable[OfficialFile]) -> Iterator[bytes]:
        """Yield the contents of some files, each checked first.

        Raises:
            FileNotFoundError, ValueError: one is missing, or not the official one.
        """
        if not self.packed:
            for file in files:
                yield file.checked((self.location / file.name).read(), self.location / file.name)
            return
        archive = self.version.archive.checked(self.location.read(), self.location)
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for file in files:
                yield _member(tar, f"{self.version.folder}/{file.name}")


def sources(official: Official, root: Location) -> Iterator[Source]:
    """Yield every version of a set at a root, the binary version first and archives before folders.

    The root is the folder that holds an archive or its unpacked folder, or is itself either of them.
    """
    for version in (official.binary, official.python):
        name = version.archive.name
        for location in (root, root / name):
            if location.url.endswith(name) and location.is_file():
                yield Source(version=version, location=location, packed=True)
        for location in (root / version.folder, root):
            if any((location / file.name).is_file() for file in (*version.train, *version.test)):
                yield Source(version=version, location=location, packed=False)


def check_files(official: Official, root: Location) -> Iterator[FileCheck]:
    """Check the files at a root, and yield a result for each."""
    found = list(sources(official, root))
    for source in found:
        for location, file in source.files():
            yield check_file(location, file)
    if not found:
        yield FileCheck(str(root), missing(official))


def read_cifar(official: Official, root: Location) -> tuple[Part, Part]:
    """Return training and test images: uint8 [N, 3, 32, 32] and int64 [N], in the official order.

    Raises:
        FileNotFoundError: no archive and no unpacked folder, or a file of it is missing.
        ValueError: a file is not the official one.
    """
    source = next(sources(official, root), None)
    if source is None:
        raise FileNotFoundError(f"{root} {missing(official)}")
    version, binary = source.version, official.binary
    records = [_records(content, official, version) for content in source.contents((*version.train, *version.test))]
    for file, found in zip((*binary.train, *binary.test), records, strict=True):
        if file.fault(found):
            raise ValueError(f"{source.location} holds other images than {binary.archive.name}, or in another order")
    batches = len(version.train)
    return _part(records[:batches], official), _part(records[batches:], official)


def missing(official: Official) -> str:
    """Return the message for a root that holds nothing of a set."""
    versions = official.binary, official.python
    names = ", ".join(name for version in versions for name in (version.archive.name, version.folder))
    return (
        f"holds no {official.name}: looked for {names}. Name another folder with `root` beside the data set's name; "
        f"`harness data fetch {official.name}` downloads it"
    )


def _records(content: bytes, official: Official, version: Version) -> bytes:
    """Return a file of either version in the binary version's form: labels, then pixels, image by image."""
    if version is official.binary:
        return content
    batch = load_batch(content)
    keys = (b"labels",) if official.label_bytes == 1 else (b"coarse_labels", b"fine_labels")
    columns = [np.asarray(batch[key], dtype=np.uint8)[:, None] for key in keys]
    return np.concatenate([*columns, batch[b"data"]], axis=1).tobytes()


def _part(records: Iterable[bytes], official: Official) -> Part:
    rows = np.frombuffer(b"".join(records), dtype=np.uint8).reshape(-1, official.label_bytes + PIXELS)
    pixels = rows[:, official.label_bytes :].reshape(-1, CHANNELS, SIDE, SIDE)
    return np.ascontiguousarray(pixels), rows[:, official.label_bytes - 1].astype(np.int64)


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None, f"{name} is no file, in an archive whose digest fits"
    return file.read()


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""All names that the official pickles contain."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise ValueError(f"refused: the pickle asks for {module}.{name}, which no official file does")
        return _ALLOWED[module, name]


def load_batch(content: bytes) -> dict[bytes, Any]:
    """Load a batch of the Python version, a dictionary pickled by Python 2. Only numpy arrays can be created.

    Raises:
        ValueError: the pickle contains another name.
    """
    batch = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    assert isinstance(batch, dict)
    return batch
