"""Data sets small enough to live on the device: batches are gathered there, without waiting for the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from workloads.datasets.normalization import Normalization, Normalize, normalization
from workloads.datasets.parts import Part
from workloads.datasets.spec import Split, check_share, mixed_seed, steps_per_epoch


@dataclass(frozen=True, kw_only=True)
class ImagesInMemory:
    """A `LoadedDataset` of uint8 pixels [N, C, H, W] and int64 labels [N] on one device, normalized batch by batch."""

    train_pixels: Tensor
    train_labels: Tensor
    test_pixels: Tensor
    test_labels: Tensor
    normalization: Normalization

    @classmethod
    def normalized(
        cls, *, train: Part, test: Part, device: torch.device, normalize: Normalize = "channel"
    ) -> ImagesInMemory:
        """Make the data set from pixels and the kind of normalization, which depends on the training pixels alone."""
        return cls(
            train_pixels=torch.from_numpy(train[0]).to(device),
            train_labels=torch.from_numpy(train[1]).to(device),
            test_pixels=torch.from_numpy(test[0]).to(device),
            test_labels=torch.from_numpy(test[1]).to(device),
            normalization=normalization(train[0], normalize).to(device),
        )

    @property
    def corrupt(self) -> dict[str, str]:
        """An empty mapping, since files that do not fit their digests are not loaded at all."""
        return {}

    @property
    def train_images(self) -> Tensor:
        """All training images as the network's input without augmentation: float32 [N, C, H, W]."""
        return self.normalization(self.train_pixels)

    @property
    def test_images(self) -> Tensor:
        """All test images as the network's input."""
        return self.normalization(self.test_pixels)

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
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this rank's share of each global batch; see `LoadedDataset.train_batches`."""
        share = check_share(batch_size, world_size)
        count = len(self.train_labels)
        steps = steps_per_epoch(count, batch_size)
        order, shifts = epoch_plan(count, seed=seed, epoch=epoch, augmentation=augmentation)
        mine = slice(rank * share, (rank + 1) * share)

        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            # Copy to the device once an epoch, not once a step.
            order_here = order[: steps * batch_size].view(steps, batch_size)[:, mine].to(self.train_labels.device)
            shifts_here = shifts[: steps * batch_size].view(steps, batch_size, 3)[:, mine].to(self.train_labels.device)
            for step in range(first_step, steps):
                images = self.normalization(self.pixels("train", order_here[step]))
                if augmentation == "crop-flip":
                    images = crop_and_flip(images, shifts_here[step])
                yield images, self.train_labels.index_select(0, order_here[step])

        return batches()

    def evaluation_batches(
        self, split: Split, *, batch_size: int, rank: int, world_size: int, scale: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this rank's disjoint, unpadded slice of the plain images, in order; see `LoadedDataset`."""
        labels = self.train_labels if split == "train" else self.test_labels
        start, end = (len(labels) * (rank + i) // world_size for i in (0, 1))
        for first in range(start, end, batch_size):
            last = min(first + batch_size, end)
            rows = torch.arange(first, last, device=labels.device)
            yield scaled(self.normalization(self.pixels(split, rows)), scale), labels[first:last]

    def check_room(
        self, split: Split, *, batch_size: int, rank: int, world_size: int, scale: int | None = None
    ) -> None:
        """Do nothing, since the images are in memory; see `LoadedDataset`."""

    def pixels(self, split: Split, rows: Tensor) -> Tensor:
        """Return some images of one part, uint8, by their indices."""
        return (self.train_pixels if split == "train" else self.test_pixels).index_select(0, rows)


def scaled(x_NCHW: Tensor, shorter: int | None) -> Tensor:
    """Return square images with sides of `shorter` pixels, or unchanged if it is None."""
    if shorter is None or shorter == x_NCHW.shape[-1]:
        return x_NCHW
    return torch.nn.functional.interpolate(x_NCHW, size=(shorter, shorter), mode="bilinear", antialias=True)


PAD = 4
"""Pixels of zeros added on each side, after normalization, before the random crop (He et al. 2015, section 4.2)."""


def epoch_plan(count: int, *, seed: int, epoch: int, augmentation: str) -> tuple[Tensor, Tensor]:
    """Return the order of the images [count] and, for each of its elements, crop and flip [count, 3]; on the host.

    One generator, seeded by seed and epoch alone, decides for all ranks: each takes its rows.
    """
    generator = torch.Generator().manual_seed(mixed_seed(seed, epoch))
    order = torch.randperm(count, generator=generator)
    if augmentation == "none":
        return order, torch.zeros(count, 3, dtype=torch.int64)
    if augmentation != "crop-flip":
        raise ValueError(f"augmentation is {augmentation!r}; allowed are 'none' and 'crop-flip'")
    crops = torch.randint(0, 2 * PAD + 1, (count, 2), generator=generator)
    flips = torch.randint(0, 2, (count, 1), generator=generator)
    return order, torch.cat([crops, flips], dim=1)


def crop_and_flip(x_NCHW: Tensor, shifts: Tensor) -> Tensor:
    """Pad each image by 4 zeros, crop it back to its size at its own offset, and mirror it if requested.

    Args:
        x_NCHW: the plain images.
        shifts: [N, 3]: rows down (0 to 8), columns right (0 to 8), mirrored (0 or 1).
    """
    n, _, height, width = x_NCHW.shape
    padded = torch.nn.functional.pad(x_NCHW, (PAD, PAD, PAD, PAD))
    rows = shifts[:, 0, None] + torch.arange(height, device=shifts.device)
    across = torch.arange(width, device=shifts.device)
    columns = shifts[:, 1, None] + torch.where(shifts[:, 2, None] == 1, width - 1 - across, across)
    image = torch.arange(n, device=shifts.device)
    # Indices [N, 1, 1], [N, H, 1], [N, 1, W] around a whole channel axis give [N, H, W, C].
    cropped = padded.permute(0, 2, 3, 1)[image[:, None, None], rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2).contiguous()
