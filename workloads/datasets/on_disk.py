"""Data sets too large for memory: other processes decode them, batch by batch, in advance."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import accumulate

import torch
from torch import Tensor

from workloads.datasets.class_folders import Part
from workloads.datasets.decoders import Decoders
from workloads.datasets.decoding import Photos, Task, unpacked
from workloads.datasets.photos import finished, training_view
from workloads.datasets.prefetch import on_device
from workloads.datasets.spec import Split, check_share, mixed_seed, steps_per_epoch

log = logging.getLogger(__name__)


class ImagesOnDisk:
    """A `LoadedDataset` of photographs. Only one iteration runs at a time: a new one ends the one before."""

    def __init__(
        self, parts: dict[Split, Part], *, size: int, decoders: int, max_corrupt_pct: float, device: torch.device
    ) -> None:
        self._parts = parts
        self._size = size
        self._max_corrupt_pct = max_corrupt_pct
        self._device = device
        self._decoders = Decoders(Photos(parts, size), decoders, device)
        self._corrupt: dict[str, str] = {}

    @property
    def corrupt(self) -> dict[str, str]:
        """Files met so far that could not be decoded, and why."""
        return dict(self._corrupt)

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
        count = len(self._parts["train"])
        steps = steps_per_epoch(count, batch_size)
        training_view(augmentation, self._size)  # refuses an unknown one here, and not in another process
        order = torch.randperm(count, generator=torch.Generator().manual_seed(mixed_seed(seed, epoch)))
        mine = order[: steps * batch_size].view(steps, batch_size)[:, rank * share : (rank + 1) * share]
        return self._batches("train", [Task("train", rows, augmentation, seed, epoch) for rows in mine[first_step:]])

    def evaluation_batches(
        self, split: Split, *, batch_size: int, rank: int, world_size: int, scale: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield this rank's disjoint, unpadded slice of the plain images, in order; see `LoadedDataset`."""
        return self._batches(split, self._evaluation_tasks(split, batch_size, rank, world_size, scale))

    def check_room(
        self, split: Split, *, batch_size: int, rank: int, world_size: int, scale: int | None = None
    ) -> None:
        """Check that shared memory has room for `evaluation_batches` of these arguments; see `LoadedDataset`."""
        self._decoders.check_room(self._evaluation_tasks(split, batch_size, rank, world_size, scale))

    def _evaluation_tasks(
        self, split: Split, batch_size: int, rank: int, world_size: int, scale: int | None
    ) -> list[Task]:
        count = len(self._parts[split])
        start, end = (count * (rank + i) // world_size for i in (0, 1))
        rows = torch.split(torch.arange(start, end), batch_size)
        return [Task(split, some, scale=scale) for some in rows if len(some)]

    def _batches(self, split: Split, tasks: list[Task]) -> Iterator[tuple[Tensor, Tensor]]:
        for packed in on_device(self._decoders.batches(tasks), self._device):
            self._note(split, packed.corrupt)
            batch = unpacked(packed)
            ends = list(accumulate(len(run) for run in batch.pixels))
            for run, end in zip(batch.pixels, ends, strict=True):
                here = slice(end - len(run), end)
                yield finished(run, batch.shifts[here]), batch.labels[here]

    def _note(self, split: Split, corrupt: Iterable[tuple[int, str]]) -> None:
        """Note each image that cannot be decoded, once.

        Raises:
            ValueError: there are too many of them.
        """
        part = self._parts[split]
        for row, why in corrupt:
            path = str(part.location / part.name(row))
            if path not in self._corrupt:
                self._corrupt[path] = why
                log.warning("%s cannot be decoded, and is shown as plain grey: %s", path, why)
        bad = [path for path in self._corrupt if path.startswith(str(part.location))]
        if len(bad) > self._max_corrupt_pct / 100 * len(part):
            raise ValueError(
                f"{len(bad):,} of {len(part):,} images in {part.location} cannot be decoded, more than the "
                f"{self._max_corrupt_pct:g} % that max_corrupt_pct allows; the first: {bad[0]}: {self._corrupt[bad[0]]}"
            )
