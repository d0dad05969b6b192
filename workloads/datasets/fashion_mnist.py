"""Fashion-MNIST (Xiao et al. 2017): 70,000 grey images of 28x28 pixels in IDX files, plain or gzip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np

from workloads.datasets.files import FileCheck, Location, OfficialFile, digest_of, located
from workloads.datasets.idx import IdxFiles
from workloads.datasets.parts import Part, held_out
from workloads.datasets.spec import ASIDE, DatasetSpec, Remote

if TYPE_CHECKING:
    import torch

    from workloads.datasets.in_memory import ImagesInMemory

FILES = IdxFiles(
    train_images=OfficialFile(
        name="train-images-idx3-ubyte", digest="md5:f4a8712d7a061bf5bd6d2ca38dc4d50a", size=47_040_016
    ),
    train_labels=OfficialFile(
        name="train-labels-idx1-ubyte", digest="md5:9018921c3c673c538a1fc5bad174d6f9", size=60_008
    ),
    test_images=OfficialFile(
        name="t10k-images-idx3-ubyte", digest="md5:8181f5470baa50b63fa0f6fddb340f0a", size=7_840_016
    ),
    test_labels=OfficialFile(name="t10k-labels-idx1-ubyte", digest="md5:15d484375f8d13e6eb1aabb0c3f46965", size=10_008),
)
"""The plain files, to which both the official gzip files and Debian's differently packed ones unpack."""

DOWNLOADS = "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/"

PACKED = tuple(
    OfficialFile(name=f"{file.name}.gz", digest=f"md5:{digest}", size=size)
    for file, digest, size in zip(
        FILES.all,
        (
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        (26_421_880, 29_515, 4_422_102, 5_148),
        strict=True,
    )
)
"""The official gzip files, with the digests that their page and torchvision print."""

DEBIAN = "/usr/share/datasets/fashion-mnist"
"""Folder of the files in Debian's package `dataset-fashion-mnist`."""


@dataclass(frozen=True, kw_only=True)
class FashionMnist(DatasetSpec):
    """Fashion-MNIST: 60,000 training and 10,000 test images of 10 kinds of clothes, padded to 32x32 pixels."""

    root: str = field(default="data", metadata=ASIDE)
    """Folder or fsspec URL with the four IDX files; Debian's package is found without it."""
    image_size: Annotated[int, (28, 32)] = 32
    """Side of an image in pixels: 32, padded with 2 black pixels on each side, or 28 as published."""
    normalize: Literal["channel", "pixel-mean"] = "channel"
    split: Literal["all", "train54k"] = "all"
    """Split. train54k, for choosing settings: 54,000 training images, and the other 6,000 as test images."""

    channels: ClassVar[int] = 1
    classes: ClassVar[int] = 10
    name: ClassVar[str] = "fashion_mnist"
    origin: ClassVar[str] = (
        "https://github.com/zalandoresearch/fashion-mnist (Zalando Research), or Debian's package dataset-fashion-mnist"
    )
    official: ClassVar[IdxFiles] = FILES
    elsewhere: ClassVar[tuple[str, ...]] = (DEBIAN,)
    """Folders to search if the root holds none of the files."""

    def __post_init__(self) -> None:
        if self.image_size not in (28, 32):
            raise ValueError(f"image_size is {self.image_size}; it must be 28 as published, or 32 for padded images")
        object.__setattr__(self, "root", located(self.root))

    @property
    def train_images(self) -> int:
        """Number of training images: 54,000 of the 60,000 if the others are held out."""
        return 60_000 if self.split == "all" else 54_000

    @property
    def test_images(self) -> int:
        """Number of test images: the official ones, or those held out of the training images."""
        return 10_000 if self.split == "all" else 6_000

    def fingerprint(self) -> str:
        """Return the digest of the official files, known without any file; loading checks the files against it."""
        return digest_of(*(file.digest for file in self.official.all))

    def load(self, device: torch.device) -> ImagesInMemory:
        """Load all images on the device.

        Raises:
            FileNotFoundError, ValueError: files are missing, or not the official ones.
        """
        from workloads.datasets.in_memory import ImagesInMemory

        train, test = self.official.read(self.locations())
        if self.split == "train54k":
            train, test = held_out(train)
        train, test = (padded(part, self.image_size) for part in (train, test))
        return ImagesInMemory.normalized(train=train, test=test, device=device, normalize=self.normalize)

    def absence(self) -> str | None:
        """Return why the data set cannot be loaded here; see `DatasetSpec.absence`."""
        if not Location(self.root).is_local:
            return None
        try:
            return self.official.missing(self.locations())
        except FileNotFoundError as error:
            return str(error)

    def check(self) -> Iterator[FileCheck]:
        """Check the four files, plain or packed."""
        return self.official.check_files(self.locations())

    def remotes(self) -> tuple[Remote, ...]:
        """Return the four files, packed."""
        return tuple(Remote(f"{DOWNLOADS}{file.name}", file) for file in PACKED)

    def locations(self) -> list[Location]:
        """Return the locations to search, in order."""
        return [Location(self.root), Location(self.root) / "FashionMNIST/raw", *map(Location, self.elsewhere)]


def padded(part: Part, side: int) -> Part:
    """Pad images to [N, 1, side, side], with equally many black pixels on all sides."""
    pixels, labels = part
    margin = (side - pixels.shape[-1]) // 2
    return np.pad(pixels, ((0, 0), (0, 0), (margin, margin), (margin, margin))), labels
