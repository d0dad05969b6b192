"""scikit-learn's handwritten digits: 1,797 real images of 8x8 pixels, shipped inside the package.

They are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI, 1998).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from workloads.datasets.parts import every_nth
from workloads.datasets.spec import DatasetSpec

if TYPE_CHECKING:
    import torch

    from workloads.datasets.in_memory import ImagesInMemory

TEST_EVERY = 5
"""Distance of test images within each class, in the file's order: every fifth image is one."""


@dataclass(frozen=True, kw_only=True)
class Digits(DatasetSpec):
    """1,442 training and 355 test images, 20 % of every class, with no random number in the split.

    The file holds the digits of 13 writers, a few of each at a time, so both parts see every writer.
    """

    channels: ClassVar[int] = 1
    image_size: ClassVar[int] = 8
    classes: ClassVar[int] = 10
    train_images: ClassVar[int] = 1442
    test_images: ClassVar[int] = 355
    name: ClassVar[str] = "digits"
    origin: ClassVar[str] = "part of scikit-learn, which is installed with the harness"

    def fingerprint(self) -> str:
        """Return the digest of pixels, labels and split: 64 hexadecimal digits."""
        return _fingerprint()

    def load(self, device: torch.device) -> ImagesInMemory:
        """Load all images on the device, normalized by the mean and deviation of the training pixels."""
        from workloads.datasets.in_memory import ImagesInMemory

        pixels, labels = read_digits()
        test = is_test(labels)
        return ImagesInMemory.normalized(
            train=(pixels[~test], labels[~test]), test=(pixels[test], labels[test]), device=device
        )


def read_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pixels uint8 [1797, 1, 8, 8] from 0 to 16, and labels int64 [1797].

    The file is read without importing scikit-learn, which takes seconds and imports pandas and scipy.

    Raises:
        FileNotFoundError: scikit-learn is not installed, or keeps its digits elsewhere.
    """
    path = Path(str(distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")))
    table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    return table[:, :-1].reshape(-1, 1, 8, 8), table[:, -1].astype(np.int64)


def is_test(labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask of the test images: the 5th, 10th, ... of each class."""
    return every_nth(labels, TEST_EVERY)


@lru_cache(maxsize=1)
def _fingerprint() -> str:
    pixels, labels = read_digits()
    digest = hashlib.sha256()
    for part in (pixels, labels, np.flatnonzero(is_test(labels))):
        digest.update(np.ascontiguousarray(part).astype("<i8").tobytes())
    return digest.hexdigest()
