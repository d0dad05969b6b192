"""What a data set says of itself before any image is read, and what it gives once loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    import torch

Split = Literal["train", "test"]


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A data set by name and options, cheap to make and to hash; subclasses are the entries of `DATASETS`."""

    channels: ClassVar[int]
    image_size: ClassVar[int]
    """Pixels a side."""
    classes: ClassVar[int]
    train_images: ClassVar[int]
    test_images: ClassVar[int]

    def identity(self) -> dict[str, Any]:
        """The options that decide the data: not where its files lie."""
        return {}

    def fingerprint(self) -> str:
        """Digest of the files and the split.

        Raises:
            FileNotFoundError, ValueError: the files are missing or not the official ones.
        """
        raise NotImplementedError

    def load(self, device: torch.device) -> LoadedDataset:
        """Read the images, ready to give batches on a device."""
        raise NotImplementedError


class LoadedDataset(Protocol):
    """Images and labels in batches. A seed and an epoch decide every global batch, whatever the number of workers."""

    def train_batches(
        self, *, seed: int, epoch: int, batch_size: int, rank: int, world_size: int, augmentation: str, first_step: int = 0
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """This rank's share of each global batch: images float32 [batch_size / world_size, C, H, W], labels int64."""
        ...

    def evaluation_batches(
        self, split: Split, *, batch_size: int, rank: int, world_size: int
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """This rank's disjoint, unpadded slice of the plain images, in order."""
        ...
