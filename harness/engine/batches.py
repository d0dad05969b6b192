"""Endless batches, for steps that are timed and not counted in epochs."""

from __future__ import annotations

import itertools
from collections.abc import Generator

import torch
from torch import Tensor

from harness.engine.context import TrialContext
from harness.trial import Trial
from workloads.datasets.spec import LoadedDataset

Batches = Generator[tuple[Tensor, Tensor], None, None]
"""Images float32 [share, C, H, W] and labels int64 [share]."""


def real_batches(data: LoadedDataset, trial: Trial, context: TrialContext, *, first_epoch: int = 0) -> Batches:
    """Yield this rank's share of one batch after another, epoch after epoch, as training takes them."""
    for epoch in itertools.count(first_epoch):
        yield from data.train_batches(
            seed=trial.seed,
            epoch=epoch,
            batch_size=trial.recipe.batch_size,
            rank=context.rank,
            world_size=context.world_size,
            augmentation=trial.recipe.augmentation,
        )


def one_batch(trial: Trial, context: TrialContext) -> Batches:
    """Yield the same noise on the device again and again, for steps that wait for no data."""
    dataset, device = trial.dataset, context.device
    share = trial.recipe.batch_size // context.world_size
    generator = torch.Generator(device).manual_seed(0)
    images = torch.randn(
        share, dataset.channels, dataset.image_size, dataset.image_size, device=device, generator=generator
    )
    labels = torch.arange(share, device=device) % dataset.classes
    while True:
        yield images, labels
