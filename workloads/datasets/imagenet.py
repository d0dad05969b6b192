"""ImageNet's classification set of 2012 (Russakovsky et al. 2015), as class folders of JPEG files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar

from workloads.datasets.class_folders import Tree, missing_folder, tree_of
from workloads.datasets.files import FileCheck, Location, digest_of, located
from workloads.datasets.imagenet_official import IMAGENET, PAGE, OfficialTree
from workloads.datasets.spec import ASIDE, DatasetSpec

if TYPE_CHECKING:
    import torch

    from workloads.datasets.on_disk import ImagesOnDisk


@dataclass(frozen=True, kw_only=True)
class ImageNet(DatasetSpec):
    """ImageNet 2012: 1,281,167 training and 50,000 validation photographs of 1,000 classes."""

    root: str = field(default="data/imagenet", metadata=ASIDE)
    """Folder or fsspec URL with `train` and `val`, each with a folder of JPEG files for every class."""
    subset: str = ""
    """Name of a tree that is not the whole published ImageNet: fewer classes, smaller files. Then its class folders are
    used as they are, in sorted order, and its fingerprint is that of its files."""
    image_size: Annotated[int, (1, 8_192)] = 224
    """Side of the crops in pixels. The sizes to which photographs are scaled before cropping are proportional to it."""
    max_corrupt_pct: Annotated[float, (0, 100)] = field(default=0.1, metadata=ASIDE)
    """Largest percentage of undecodable images in a part; they become plain grey. Above it, a trial fails."""
    decoders: Annotated[int, (0, 1_024)] = field(default=8, metadata=ASIDE)
    """Processes that decode for each worker, at most one a core; 0 decodes in the worker itself."""

    name: ClassVar[str] = "imagenet"
    origin: ClassVar[str] = (
        f"{PAGE} (Stanford and Princeton; an account is needed): {' and '.join(IMAGENET.archives)}. The first holds an "
        "archive for each class, to be unpacked into a folder of its name; the images of the second are sorted into "
        "such folders by ILSVRC2012_validation_ground_truth.txt, which is in ILSVRC2012_devkit_t12.tar.gz"
    )
    augmentations: ClassVar[tuple[str, ...]] = ("none", "scale-jitter", "random-resized-crop")
    channels: ClassVar[int] = 3
    official: ClassVar[OfficialTree] = IMAGENET

    def __post_init__(self) -> None:
        for name, least in (("image_size", 1), ("decoders", 0), ("max_corrupt_pct", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
        object.__setattr__(self, "root", located(self.root))

    @property
    def classes(self) -> int:
        """Number of classes: 1,000, or the class folders of a subset."""
        return len(self.tree().train.classes if self.subset else self.official.classes)

    @property
    def train_images(self) -> int:
        """Number of training images: 1,281,167, or the files of a subset."""
        return len(self.tree().train) if self.subset else self.official.train_images

    @property
    def test_images(self) -> int:
        """Number of validation images, 50,000. The labels of the test images were never published."""
        return len(self.tree().val) if self.subset else self.official.val_images

    def tree(self) -> Tree:
        """Return the tree at the root, which is listed once in a process.

        Raises:
            FileNotFoundError, ValueError: there are no class folders.
        """
        return tree_of(Location(self.root))

    def fingerprint(self) -> str:
        """Return the digest of the official archives. It is known without any file; loading checks the folders.

        A subset's digest is that of its files: names and contents, or names and sizes if the tree is large.
        """
        return self.tree().digest() if self.subset else digest_of(*self.official.archives.values())

    def load(self, device: torch.device) -> ImagesOnDisk:
        """Return the data set, ready to decode.

        Raises:
            FileNotFoundError, ValueError: classes or images are missing, or there are others than there should be.
        """
        from workloads.datasets.on_disk import ImagesOnDisk

        faults = self.faults()
        if faults:
            raise ValueError("; ".join(f"{location} {fault}" for location, fault in faults))
        tree = self.tree()
        return ImagesOnDisk(
            {"train": tree.train, "test": tree.val},
            size=self.image_size,
            decoders=self.decoders,
            max_corrupt_pct=self.max_corrupt_pct,
            device=device,
        )

    def absence(self) -> str | None:
        """Return why the data set cannot be loaded here; see `DatasetSpec.absence`."""
        locations = [Location(self.root) / part for part in ("train", "val")]
        for location in locations if Location(self.root).is_local else ():
            if not location.is_folder():
                return f"{missing_folder(location)}; `harness data check imagenet` says where they come from"
            if not location.is_readable():
                return f"{location} may not be read"
        return None

    def check(self) -> Iterator[FileCheck]:
        """Check both parts, and yield the faults of each; no image is opened."""
        try:
            faults = self.faults()
        except (OSError, ValueError) as error:
            yield FileCheck(self.root, str(error))
            return
        tree = self.tree()
        for part in (tree.train, tree.val):
            mine = [fault for fault in faults if fault.location.startswith(str(part.location))]
            yield from mine or [FileCheck(str(part.location), None)]

    def faults(self) -> list[FileCheck]:
        """Return the faults of the tree, empty if there are none."""
        return self.tree().faults() if self.subset else self.official.faults(self.tree())
