"""ImageNet's classification set of 2012 (Russakovsky et al. 2015), as class folders of JPEG files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from workloads.datasets.files import digest_of, located
from workloads.datasets.spec import ASIDE, DatasetSpec

ARCHIVES = {
    "ILSVRC2012_img_train.tar": "md5:1d675b47d978889d74fa0da5fadfb00e",
    "ILSVRC2012_img_val.tar": "md5:29b22e2961454d5413ddabcf34fc5622",
}


@dataclass(frozen=True, kw_only=True)
class ImageNet(DatasetSpec):
    """ImageNet 2012: 1,281,167 training and 50,000 validation photographs of 1,000 classes, seen at 224x224 pixels."""

    root: str = field(default="data/imagenet", metadata=ASIDE)
    """Folder or fsspec URL with `train` and `val`, each with a folder of JPEG files for every class."""

    channels: ClassVar[int] = 3
    image_size: ClassVar[int] = 224
    classes: ClassVar[int] = 1000
    train_images: ClassVar[int] = 1_281_167
    test_images: ClassVar[int] = 50_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", located(self.root))

    def fingerprint(self) -> str:
        """Of the official archives, known before any file is there; loading holds the folders against it."""
        return digest_of(*ARCHIVES.values())
