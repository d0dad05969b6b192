"""Trees of class folders: the images in them, their classes and their sizes. No image is opened."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.files import FileCheck, Location

ENDINGS = (".jpeg", ".jpg")

CONTENT_BYTES = 2**26
"""Largest tree, in bytes, whose digest covers the contents of its files. Larger ones: their names and sizes."""

SCANNERS = 16
"""Folders listed at once. On another machine, each takes a while to answer."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One part of a tree. Over a million names are kept as one array of bytes, which processes can share."""

    location: Location
    classes: tuple[str, ...]
    """Sorted names of the folders; the index of a name is the label."""
    names: NDArray[np.uint8]
    """`class/file` of every image, one after the other, sorted."""
    ends: NDArray[np.int64]
    """End of each name in `names`."""
    sizes: NDArray[np.int64]
    """Size of each file, in bytes."""
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def bytes(self) -> int:
        """Total size of all files."""
        return int(self.sizes.sum())

    def name(self, index: int) -> str:
        """Return `class/file` of one image."""
        start = self.ends[index - 1] if index else 0
        return self.names[start : self.ends[index]].tobytes().decode()

    def faults(self) -> Iterator[FileCheck]:
        """Yield the faults that do not depend on the expected classes."""
        counts = np.bincount(self.labels, minlength=len(self.classes))
        for name in np.array(self.classes)[counts == 0]:
            yield FileCheck(str(self.location / name), "has no JPEG file")


@dataclass(frozen=True, kw_only=True, eq=False)
class Tree:
    """Training and validation images below one root."""

    train: Part
    val: Part

    def faults(self) -> list[FileCheck]:
        """Return the faults that do not depend on the expected classes, empty if there are none."""
        found = [*self.train.faults(), *self.val.faults()]
        for a, b in ((self.train, self.val), (self.val, self.train)):
            missing = sorted({*b.classes} - {*a.classes})
            found += [FileCheck(str(a.location), f"lacks the class {name}") for name in missing]
        return found

    def digest(self) -> str:
        """Return 64 hexadecimal digits of names and contents, or of names and sizes if the tree is large."""
        with_contents = self.train.bytes + self.val.bytes <= CONTENT_BYTES
        digest = hashlib.sha256(b"contents" if with_contents else b"sizes")
        for part in (self.train, self.val):
            for piece in (part.names, part.ends.astype("<i8"), part.sizes.astype("<i8")):
                digest.update(piece.tobytes())
            for index in range(len(part) if with_contents else 0):
                digest.update(hashlib.sha256((part.location / part.name(index)).read()).digest())
        return digest.hexdigest()


@lru_cache(maxsize=4)
def tree_of(root: Location) -> Tree:
    """Return the tree in `train` and `val`; listed once in a process.

    Raises:
        FileNotFoundError: one of them is not there.
        ValueError: one of them has no class folders.
    """
    return Tree(train=list_part(root / "train"), val=list_part(root / "val"))


def list_part(location: Location) -> Part:
    """Return all images in the class folders of one part.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there are no class folders in it.
    """
    if not location.is_folder():
        raise FileNotFoundError(missing_folder(location))
    classes = tuple(sorted(name for name, entry in location.entries().items() if entry.is_folder and name[0] != "."))
    if not classes:
        raise ValueError(f"{location} has no class folders: the images of each class must lie in a folder of its name")
    with ThreadPoolExecutor(SCANNERS) as scanners:
        listed = list(scanners.map(_images, (location / name for name in classes)))
    names = [f"{kind}/{name}".encode() for kind, images in zip(classes, listed, strict=True) for name, _ in images]
    return Part(
        location=location,
        classes=classes,
        names=np.frombuffer(b"".join(names), dtype=np.uint8),
        ends=np.cumsum([len(name) for name in names], dtype=np.int64),
        sizes=np.array([size for _, size in chain(*listed)], dtype=np.int64),
        labels=np.repeat(np.arange(len(classes)), [len(images) for images in listed]),
    )


def missing_folder(location: Location) -> str:
    """Return the message on a part that is missing."""
    return f"there is no folder {location}; `root` must hold `train` and `val` with class folders"


def _images(folder: Location) -> list[tuple[str, int]]:
    """Return the name and size of each JPEG file in a folder, sorted."""
    entries = folder.entries().items()
    return sorted((name, entry.size) for name, entry in entries if name.lower().endswith(ENDINGS))
