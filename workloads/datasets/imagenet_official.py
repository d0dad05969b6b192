"""Known facts of ImageNet 2012 that need none of its 155 GB: classes, counts and sizes.

No digest of single images was ever published, and to digest all of them takes longer than many a trial. So a tree is
compared with the 1,000 classes, the number of images, and the size of the official archives, of which names, sizes and
digests are known. This also detects the smaller copies of the photographs that are in circulation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources

from workloads.datasets.class_folders import Part, Tree
from workloads.datasets.files import FileCheck

PAGE = "https://image-net.org/challenges/LSVRC/2012/2012-downloads.php"

ARCHIVE_OVERHEAD = 0.03
"""Largest share by which a tar file exceeds its files, with a header and padding for each: some 1 % here, never 3 %."""


@dataclass(frozen=True, kw_only=True)
class OfficialTree:
    """The expected content of a tree of class folders."""

    classes: tuple[str, ...]
    """WordNet ids in sorted order, which is the order of the labels."""
    train_images: int
    val_images: int
    train_bytes: int
    """Size of the official archive."""
    val_bytes: int
    archives: dict[str, str]
    """Official archive -> its digest."""

    def faults(self, tree: Tree) -> list[FileCheck]:
        """Return the faults of a tree, empty if there are none."""
        parts = (tree.train, self.train_images, self.train_bytes), (tree.val, self.val_images, self.val_bytes)
        return [
            FileCheck(str(part.location), fault)
            for part, images, size in parts
            for fault in (*self._class_faults(part), *_size_faults(part, images, size))
        ]

    def _class_faults(self, part: Part) -> Iterator[str]:
        for what, names in (
            ("lacks", {*self.classes} - {*part.classes}),
            ("has the unknown class", {*part.classes} - {*self.classes}),
        ):
            if names:
                yield f"{what} {_some(names)}"


def _size_faults(part: Part, images: int, archive_bytes: int) -> Iterator[str]:
    if len(part) != images:
        yield f"has {len(part):,} images, and must have {images:,}"
    elif not (1 - ARCHIVE_OVERHEAD) * archive_bytes <= part.bytes <= archive_bytes:
        yield (
            f"holds {part.bytes:,} bytes of images, and the official archive {archive_bytes:,}: these are not the "
            "files as published. Where that is meant, give the data set a name of its own with `subset`"
        )


def _some(names: Iterable[str], most: int = 5) -> str:
    """Return the first few of many names."""
    ordered = sorted(names)
    rest = f" and {len(ordered) - most:,} more" if len(ordered) > most else ""
    return f"{', '.join(ordered[:most])}{rest}"


IMAGENET = OfficialTree(
    classes=tuple(resources.files("workloads.datasets").joinpath("imagenet_classes.txt").read_text().split()),
    train_images=1_281_167,
    val_images=50_000,
    train_bytes=147_897_477_120,
    val_bytes=6_744_924_160,
    archives={
        "ILSVRC2012_img_train.tar": "md5:1d675b47d978889d74fa0da5fadfb00e",
        "ILSVRC2012_img_val.tar": "md5:29b22e2961454d5413ddabcf34fc5622",
    },
)
