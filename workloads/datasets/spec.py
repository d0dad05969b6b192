"""What a data set says of itself before any image is read, and what it gives once loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch

    from workloads.datasets.files import Finding, OfficialFile

Split = Literal["train", "test"]

ASIDE = {"aside": True}
"""Metadata of a field that decides nothing about the data, such as where its files lie: `field(metadata=ASIDE)`."""


class Remote(NamedTuple):
    """A file that can be downloaded."""

    url: str
    file: OfficialFile


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A data set by name and options, cheap to make and to hash; subclasses are the entries of `DATASETS`.

    Each number among its options is annotated with the least and the most that a workload file may give.
    """

    origin: ClassVar[str]
    """Where its files come from, for people."""
    augmentations: ClassVar[tuple[str, ...]] = ("none", "crop-flip")
    """Those of a recipe that its images can have."""

    @property
    def channels(self) -> int:
        """Of one image."""
        raise NotImplementedError

    @property
    def image_size(self) -> int:
        """Pixels a side."""
        raise NotImplementedError

    @property
    def classes(self) -> int:
        """Kinds of images."""
        raise NotImplementedError

    @property
    def train_images(self) -> int:
        """Images that a network is trained on."""
        raise NotImplementedError

    @property
    def test_images(self) -> int:
        """Images that its error is counted on."""
        raise NotImplementedError

    def identity(self) -> dict[str, Any]:
        """The options that decide the data: not where its files lie, nor how they are read."""
        return {field.name: getattr(self, field.name) for field in fields(self) if "aside" not in field.metadata}

    def fingerprint(self) -> str:
        """Digest of the files and the split.

        Raises:
            FileNotFoundError, ValueError: the files are missing or not the official ones.
        """
        raise NotImplementedError

    def load(self, device: torch.device) -> LoadedDataset:
        """Read the images, ready to give batches on a device."""
        raise NotImplementedError

    def absence(self) -> str | None:
        """Why it cannot be loaded here, as far as the names of files tell at once. None where they are there, where it
        needs none, and where nobody looks before it is loaded: behind a URL.
        """
        return None

    def check(self) -> Iterator[Finding]:
        """What is there of its files, and what is wrong with it; nothing where it needs none."""
        yield from ()

    def remotes(self) -> tuple[Remote, ...]:
        """What can be downloaded without asking anybody."""
        return ()


def steps_per_epoch(train_images: int, batch_size: int) -> int:
    """Whole batches in an epoch.

    The images left over sit out, others in each epoch: a small last batch would weigh each of its images more than the
    rest, have noisier batch statistics, and a shape of its own to compile and to time.

    Raises:
        ValueError: not even one batch.
    """
    if batch_size > train_images:
        raise ValueError(f"batch_size is {batch_size}, but there are only {train_images} training images")
    return train_images // batch_size


def check_share(batch_size: int, world_size: int) -> int:
    """Images of each global batch that one worker trains on.

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
    """63 bits from all the numbers, so that neighbouring seeds and epochs share no stream."""
    digest = hashlib.sha256("/".join(map(str, numbers)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


class LoadedDataset(Protocol):
    """Images and labels in batches. A seed and an epoch decide every global batch, whatever the number of workers."""

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
        """This rank's share of each global batch: images float32 [batch_size / world_size, C, H, W], labels int64.

        The epoch's whole batches from `first_step` on; rank r takes the r-th of world_size equal runs of each.

        Raises:
            ValueError: the workers cannot share the batch, or it is larger than the training set.
        """
        ...

    def evaluation_batches(
        self, split: Split, *, batch_size: int, rank: int, world_size: int, scale: int | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """This rank's disjoint, unpadded slice of the plain images, in order.

        With a `scale`, whole images whose shorter side is so many pixels: in the same order, but a batch holds only as
        many as have one shape and follow each other.
        """
        ...
