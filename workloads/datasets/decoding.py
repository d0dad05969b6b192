"""Tasks and results of the processes that decode. The task alone determines its batch, in whichever process it runs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from workloads.datasets.class_folders import Part
from workloads.datasets.photos import (
    Transform,
    decode,
    evaluation_view,
    grey,
    random_colour_shift,
    seeded,
    training_view,
    whole_view,
)
from workloads.datasets.spec import Split, mixed_seed


class Task(NamedTuple):
    """One batch to decode."""

    split: Split
    rows: Tensor
    """Rows of the images, int64 [N]."""
    augmentation: str = ""
    """Augmentation of training, empty for evaluation."""
    seed: int = 0
    epoch: int = 0
    scale: int | None = None
    """Shorter side in pixels of whole images; None for crops."""


class Decoded(NamedTuple):
    """One batch, before colour changes and normalization."""

    pixels: list[Tensor]
    """Images, uint8 [n, 3, H, W]: a tensor for each run of images of one shape; crops are all in one."""
    shifts: Tensor
    """Colour shifts, float32 [N, 3]."""
    labels: Tensor
    """Labels, int64 [N]."""
    corrupt: list[tuple[int, str]]
    """Images that could not be decoded, and why."""


class Photos(Dataset[Decoded]):
    """The photographs of one tree, decoded as tasks request."""

    def __init__(self, parts: dict[Split, Part], size: int) -> None:
        self._parts: dict[Split, _SharedPart] = {split: _SharedPart(part) for split, part in parts.items()}
        self._size = size

    def __getitem__(self, task: Task) -> Decoded:
        """Return a whole batch."""
        part = self._parts[task.split]
        view = self._view(task)
        images, shifts, corrupt = [], [], []
        for row in task.rows.tolist():
            with seeded(mixed_seed(task.seed, task.epoch, row)):
                try:
                    images.append(view(decode(part.read(row))))
                except (OSError, ValueError) as error:
                    images.append(grey(task.scale or self._size))
                    corrupt.append((row, str(error) or type(error).__name__))
                shifts.append(random_colour_shift(task.augmentation))
        return Decoded(runs(images), torch.stack(shifts), part.labels[task.rows], corrupt)

    def _view(self, task: Task) -> Transform:
        if task.scale is not None:
            return whole_view(task.scale)
        return training_view(task.augmentation, self._size) if task.augmentation else evaluation_view(self._size)


def runs(images: Iterable[Tensor]) -> list[Tensor]:
    """Stack consecutive images of one shape."""
    return [torch.stack(list(run)) for _, run in groupby(images, key=lambda image: image.shape)]


class _SharedPart:
    """A part's names and labels as tensors, which all processes that decode share."""

    def __init__(self, part: Part) -> None:
        self._location = part.location
        self._names = torch.tensor(part.names)
        self._ends = torch.tensor(part.ends)
        self.labels = torch.tensor(part.labels)

    def read(self, row: int) -> bytes:
        start = self._ends[row - 1] if row else 0
        return (self._location / self._names[start : self._ends[row]].numpy().tobytes().decode()).read()
