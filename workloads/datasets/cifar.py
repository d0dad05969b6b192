"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 60,000 colour images of 32x32 pixels, from the official archives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from workloads.datasets.cifar_official import CIFAR10, CIFAR100, FOLDER, PAGE, Official
from workloads.datasets.files import FileCheck, Location, located
from workloads.datasets.parts import held_out
from workloads.datasets.spec import ASIDE, DatasetSpec, Remote

if TYPE_CHECKING:
    import torch

    from workloads.datasets.in_memory import ImagesInMemory


@dataclass(frozen=True, kw_only=True)
class Cifar(DatasetSpec):
    """The common part of CIFAR-10 and CIFAR-100."""

    root: str = field(default="data", metadata=ASIDE)
    """Folder or fsspec URL with an official archive, or with its unpacked files."""
    normalize: Literal["channel", "pixel-mean"] = "pixel-mean"
    """Normalization. pixel-mean is that of He et al. 2015, section 4.2; see `workloads.datasets.in_memory`."""
    split: Literal["all", "train45k"] = "all"
    """Split. train45k, for choosing settings: 45,000 training images, and the other 5,000 as test images."""

    channels: ClassVar[int] = 3
    image_size: ClassVar[int] = 32
    official: ClassVar[Official]
    origin: ClassVar[str] = f"{PAGE} (University of Toronto)"

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", located(self.root))

    @property
    def train_images(self) -> int:
        """Number of training images: 45,000 of the 50,000 if the others are held out."""
        return 50_000 if self.split == "all" else 45_000

    @property
    def test_images(self) -> int:
        """Number of test images: the official ones, or those held out of the training images."""
        return 10_000 if self.split == "all" else 5_000

    def fingerprint(self) -> str:
        """Return the digest of the official images, known without any file; loading checks the files against it."""
        return self.official.fingerprint()

    def load(self, device: torch.device) -> ImagesInMemory:
        """Load all images on the device.

        Raises:
            FileNotFoundError, ValueError: files are missing, or not the official ones.
        """
        from workloads.datasets.cifar_files import read_cifar
        from workloads.datasets.in_memory import ImagesInMemory

        train, test = read_cifar(self.official, Location(self.root))
        if self.split == "train45k":
            train, test = held_out(train)
        return ImagesInMemory.normalized(train=train, test=test, device=device, normalize=self.normalize)

    def absence(self) -> str | None:
        """Return why the data set cannot be loaded here; see `DatasetSpec.absence`."""
        from workloads.datasets.cifar_files import missing, sources

        root = Location(self.root)
        if not root.is_local:
            return None
        source = next(sources(self.official, root), None)
        if source is None:
            return f"{root} {missing(self.official)}"
        unreadable = (location for location, _ in source.files() if not location.is_readable())
        return next((f"{location} is missing, or may not be read" for location in unreadable), None)

    def check(self) -> Iterator[FileCheck]:
        """Check every official file that is at the root, packed or unpacked."""
        from workloads.datasets.cifar_files import check_files

        return check_files(self.official, Location(self.root))

    def remotes(self) -> tuple[Remote, ...]:
        """Return the archive of the binary version."""
        archive = self.official.binary.archive
        return (Remote(FOLDER + archive.name, archive),)


@dataclass(frozen=True, kw_only=True)
class Cifar10(Cifar):
    """CIFAR-10: 50,000 training and 10,000 test images of 10 classes."""

    name: ClassVar[str] = "cifar10"
    classes: ClassVar[int] = 10
    official: ClassVar[Official] = CIFAR10


@dataclass(frozen=True, kw_only=True)
class Cifar100(Cifar):
    """CIFAR-100: 50,000 training and 10,000 test images of 100 classes."""

    name: ClassVar[str] = "cifar100"
    classes: ClassVar[int] = 100
    official: ClassVar[Official] = CIFAR100
