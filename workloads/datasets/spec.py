"""The interface of data sets: their properties before any image is read, and their batches once loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch

    from workloads.datasets.files import FileCheck, OfficialFile

Split = Literal["train", "test"]

ASIDE = {"aside": True}
"""Metadata of a field that does not change the data, such as the location of its files: `field(metadata=ASIDE)`."""


class Remote(NamedTuple):
    """A file that can be downloaded."""

    url: str
    file: OfficialFile


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A data set by name and options, cheap to make and to hash; subclasses are the entries of `DATASETS`.

    Each number among its options is annotated with its bounds in a workload file.
    """

    name: ClassVar[str]
    """The data set's name in a workload file, and its key in `DATASETS`."""
    origin: ClassVar[str]
    """Source of its files, for people."""
    augmentations: ClassVar[tuple[str, ...]] = ("none", "crop-flip")
    """Augmentations of a recipe that its images support."""

    @property
    def channels(self) -> int:
        """Channels of an image."""
        raise NotImplementedError

    @property
    def image_size(self) -> int:
        """Side of an image in pixels."""
        raise NotImplementedError

    @property
    def classes(self) -> int:
        """Number of classes."""
        raise NotImplementedError

    @property
    def train_images(self) -> int:
        """Number of training images."""
        raise NotImplementedError

    @property
    def test_images(self) -> int:
        """Number of images on which the error is counted."""
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        """Return the options that determine the data, without the location of its files and how they are read."""
        return {field.name: getattr(self, field.name) for field in fields(self) if "aside" not in field.metadata}

    def fingerprint(self) -> str:
        """Return the digest of the files and the split.

        Raises:
            FileNotFoundError, ValueError: the files are missing or not the official ones.
        """
        raise NotImplementedError

    def load(self, device: torch.device) -> LoadedDataset:
        """Read the images, ready to give batches on a device."""
        raise NotImplementedError

    def absence(self) -> str | None:
        """Return why the data set cannot be loaded here, judged by the names of its files alone.

        None if they are there, if it needs none, and behind a URL, which is checked only on loading.
        """
        return None

    def check(self) -> Iterator[FileCheck]:
        """Check its files, and yield a result for each, faulty or not; nothing if it needs no files."""
        yield from ()

    def remotes(self) -> tuple[Remote, ...]:
        """Return the files that anyone can download without permission."""
        return ()


def steps_per_epoch(train_images: int, batch_size: int) -> int:
    """Return the number of whole batches in an epoch.

    The images left over are skipped, different ones in each epoch: a small last batch would weigh each of its images
    more than the rest, have noisier batch statistics, and a shape of its own to compile and to time.

    Raises:
        ValueError: the images are fewer than one batch.
    """
    if batch_size > train_images:
        raise ValueError(f"batch_size is {batch_size}, but there are only {train_images} training images")
    return train_images // batch_size


def check_share(batch_size: int, world_size: int) -> int:
    """Return the number of images of each global batch that one worker trains on.

    Raises:
        ValueError: the workers cannot share the batch evenly.
    """
    if batch_size % world_size:
        raise ValueError(
            f"batch_size {batch_size} cannot be shared by {world_size} workers; "
            f"the nearest that can is {max(1, round(batch_size / world_size)) * world_size}"
        )
    return batch_size // world_size


def mixed_seed(*numbers: int) -> int:
    """Return 63 bits from all the numbers, so that neighbouring seeds and epochs have different random streams."""
    digest = hashlib.sha256("/".join(map(str, numbers)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class LoadedDataset(Protocol):
    """Images and labels in batches. Seed and epoch determine every global batch, for any number of workers."""

    @property
    def corrupt(self) -> Mapping[str, str]:
        """Files met so far that could not be decoded, and why."""
        ...

    def train_batches(
        self,
        *,
        seed: int,
        epoch: int,
        batch_size: int,
        rank: int,
        world_size: int,
        augmentation: str,
        first_step: int = 0,
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield this rank's share of global batches: images float32 [batch_size / world_size, C, H, W], labels int64.

        The epoch's whole batches from `first_step` on; rank r takes the r-th of world_size equal runs of each.

        Raises:
            ValueError: the workers cannot share the batch, or it is larger than the training set.
        """
        ...

    def evaluation_batches(
        self, split: Split, *, batch_size: int, rank: int, world_size: int, scale: int | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield this rank's disjoint, unpadded slice of the plain images, in order.

        With a `scale`, whole images whose shorter side has this many pixels: in the same order, but a batch holds only
        consecutive images of one shape.
        """
        ...

    def check_room(
        self, split: Split, *, batch_size: int, rank: int, world_size: int, scale: int | None = None
    ) -> None:
        """Check that there is room for `evaluation_batches` of these arguments.

        Raises:
            RuntimeError: there is not; the message says what is lacking.
        """
        ...
