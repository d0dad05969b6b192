"""Tasks and results of the processes that decode. The task alone determines its batch, in whichever process it runs."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

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

ROW_BYTES = 8 + 3 * 4
"""Bytes of an image's label (int64) and colour shift (three of float32)."""

WHOLE_ASPECT = 1.5
"""Longer side of a photograph over its shorter one, for an estimate."""


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


class Packed(NamedTuple):
    """One batch as it crosses processes: one tensor, since each takes a file descriptor."""

    content: Tensor
    """Labels, then colour shifts, then pixels, uint8 [bytes]."""
    shapes: list[tuple[int, int, int]]
    """Number, height and width of each run of images of one shape."""
    corrupt: list[tuple[int, str]]
    """Images that could not be decoded, and why."""
    fault: str = ""
    """Why there is no batch; empty if there is one."""


class Decoded(NamedTuple):
    """One batch, before colour changes and normalization."""

    pixels: list[Tensor]
    """Images, uint8 [n, 3, H, W]: a tensor for each run of images of one shape; crops are all in one."""
    shifts: Tensor
    """Colour shifts, float32 [N, 3]."""
    labels: Tensor
    """Labels, int64 [N]."""


class Photos(Dataset[Packed]):
    """The photographs of one tree, decoded as tasks request."""

    def __init__(self, parts: dict[Split, Part], size: int) -> None:
        self._parts: dict[Split, _SharedPart] = {split: _SharedPart(part) for split, part in parts.items()}
        self._size = size

    def __getitem__(self, task: Task) -> Packed:
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
        return _shared(packed(images, torch.stack(shifts), part.labels[task.rows], corrupt))

    def batch_bytes(self, task: Task) -> int:
        """Return about how many bytes the task's batch takes; whole images have shapes that only decoding tells."""
        pixels = WHOLE_ASPECT * task.scale**2 if task.scale is not None else self._size**2
        return int(len(task.rows) * (3 * pixels + ROW_BYTES))

    def _view(self, task: Task) -> Transform:
        if task.scale is not None:
            return whole_view(task.scale)
        return training_view(task.augmentation, self._size) if task.augmentation else evaluation_view(self._size)


def packed(images: list[Tensor], shifts: Tensor, labels: Tensor, corrupt: list[tuple[int, str]]) -> Packed:
    """Put a batch into one tensor."""
    shapes = [(len(list(run)), *shape[1:]) for shape, run in groupby(image.shape for image in images)]
    content = torch.empty(ROW_BYTES * len(labels) + sum(image.numel() for image in images), dtype=torch.uint8)
    end = 0
    for part in (labels, shifts, *images):
        start, end = end, end + part.numel() * part.element_size()
        content[start:end].view(part.dtype).view(part.shape).copy_(part)
    return Packed(content, shapes, corrupt)


def unpacked(batch: Packed) -> Decoded:
    """Return the parts of a batch, in the same memory."""
    count = sum(images for images, _, _ in batch.shapes)
    labels, shifts, pixels = torch.split(batch.content, [8 * count, 12 * count, len(batch.content) - ROW_BYTES * count])
    runs = torch.split(pixels, [3 * images * height * width for images, height, width in batch.shapes])
    return Decoded(
        pixels=[run.view(n, 3, height, width) for run, (n, height, width) in zip(runs, batch.shapes, strict=True)],
        shifts=shifts.view(torch.float32).view(count, 3),
        labels=labels.view(torch.int64),
    )


def _shared(batch: Packed) -> Packed:
    """Move a batch to shared memory if this process is a decoder.

    Torch would do it in a thread of its own, where an error loses the batch and nobody hears of it.
    """
    if get_worker_info() is None:
        return batch
    try:
        batch.content.share_memory_()  # type: ignore[no-untyped-call]
    except (OSError, RuntimeError) as error:
        return Packed(torch.empty(0, dtype=torch.uint8), [], [], fault=" ".join(str(error).split()))
    return batch


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
