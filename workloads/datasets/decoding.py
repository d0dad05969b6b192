"""What a process that decodes is given to do, and what it gives back. A task decides its batch, whoever does it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset

from workloads.datasets.class_folders import Part
from workloads.datasets.photos import (
    GREY,
    decode,
    evaluation_view,
    random_colour_shift,
    seeded,
    training_view,
)
from workloads.datasets.spec import Split, mixed_seed


class Task(NamedTuple):
    """One batch to decode."""

    split: Split
    rows: Tensor
    """Which images, int64 [N]."""
    augmentation: str = ""
    """Empty for evaluation."""
    seed: int = 0
    epoch: int = 0


class Decoded(NamedTuple):
    """One batch, before its colours are changed and normalized."""

    pixels: Tensor
    """uint8 [N, 3, S, S]."""
    shifts: Tensor
    """Of colours, float32 [N, 3]."""
    labels: Tensor
    """int64 [N]."""
    corrupt: list[tuple[int, str]]
    """Images that could not be decoded, and why."""


class Photos(Dataset[Decoded]):
    """The photographs of one tree, as tasks ask for them."""

    def __init__(self, parts: dict[Split, Part], size: int) -> None:
        self._parts: dict[Split, _SharedPart] = {split: _SharedPart(part) for split, part in parts.items()}
        self._size = size

    def __getitem__(self, task: Task) -> Decoded:
        """A whole batch."""
        part = self._parts[task.split]
        view = training_view(task.augmentation, self._size) if task.augmentation else evaluation_view(self._size)
        pixels = torch.empty(len(task.rows), 3, self._size, self._size, dtype=torch.uint8)
        shifts = torch.zeros(len(task.rows), 3)
        corrupt = []
        for place, row in enumerate(task.rows.tolist()):
            with seeded(mixed_seed(task.seed, task.epoch, row)):
                try:
                    pixels[place] = view(decode(part.read(row)))
                except (OSError, ValueError) as error:
                    pixels[place] = torch.tensor(GREY, dtype=torch.uint8)[:, None, None]
                    corrupt.append((row, str(error) or type(error).__name__))
                shifts[place] = random_colour_shift(task.augmentation)
        return Decoded(pixels, shifts, part.labels[task.rows], corrupt)


class _SharedPart:
    """A part's names and labels as tensors, which all processes that decode share."""

    def __init__(self, part: Part) -> None:
        self._place = part.place
        self._names = torch.tensor(part.names)
        self._ends = torch.tensor(part.ends)
        self.labels = torch.tensor(part.labels)

    def read(self, row: int) -> bytes:
        start = self._ends[row - 1] if row else 0
        return (self._place / self._names[start : self._ends[row]].numpy().tobytes().decode()).read()
