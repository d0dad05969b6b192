"""From pixels to the network's input: shifted by the training set's mean, scaled by its deviation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.datasets.parts import Pixels

Normalize = Literal["channel", "pixel-mean"]

CHUNK = 1000
"""Images counted at a time, to save memory."""


@dataclass(frozen=True)
class Normalization:
    """A mean and a deviation, float64, that broadcast over images [N, C, H, W]."""

    mean: Tensor
    deviation: Tensor

    def __call__(self, pixels: Tensor) -> Tensor:
        """Return float32 images, computed in float64: the same bits on every device."""
        return ((pixels - self.mean) / self.deviation).float()

    def to(self, device: torch.device) -> Normalization:
        """Return the same normalization on a device."""
        return Normalization(self.mean.to(device), self.deviation.to(device))


def normalization(train: Pixels, kind: Normalize) -> Normalization:
    """Return the normalization of the training images.

    Args:
        train: the training images.
        kind: `channel` gives every channel mean 0 and deviation 1. `pixel-mean` subtracts the mean image, as the papers
            do on CIFAR, and divides all by one deviation; the papers print no scale, and the first batch normalization
            removes any scale.
    """
    if kind == "channel":
        return _per_channel(train)
    mean = _sum(train) / len(train)
    channels = _per_channel(train)
    spread = channels.deviation.numpy() ** 2 + channels.mean.numpy() ** 2  # mean of squares, [1, C, 1, 1]
    deviation = np.sqrt(spread.mean() - (mean**2).mean())
    return Normalization(torch.from_numpy(mean[None]), torch.tensor(deviation or 1.0, dtype=torch.float64))


def _per_channel(train: Pixels) -> Normalization:
    moments = [_moments(histogram) for histogram in _histograms(train)]
    mean, deviation = torch.tensor(moments, dtype=torch.float64).T[:, None, :, None, None]
    return Normalization(mean, deviation)


def _moments(histogram: list[int]) -> tuple[float, float]:
    """Return mean and deviation of a histogram, computed from whole numbers: exact except for the last division."""
    count = sum(histogram)
    total = sum(value * times for value, times in enumerate(histogram))
    squares = sum(value**2 * times for value, times in enumerate(histogram))
    deviation = float(np.sqrt((count * squares - total**2) / count**2))
    return total / count, deviation or 1.0  # a channel with a single value is only shifted


def _histograms(train: Pixels) -> list[list[int]]:
    """Return how often each of the 256 values occurs in each channel."""
    histograms = np.zeros((train.shape[1], 256), dtype=np.int64)
    for first in range(0, len(train), CHUNK):
        channels = train[first : first + CHUNK].swapaxes(0, 1)
        histograms += [np.bincount(channel.ravel(), minlength=256) for channel in channels]
    return [[int(times) for times in histogram] for histogram in histograms]


def _sum(train: Pixels) -> NDArray[np.int64]:
    return np.asarray(train.sum(axis=0, dtype=np.int64))
