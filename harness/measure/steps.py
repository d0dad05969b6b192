"""Speed of a run of steps, from the seconds of each step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000
FEWEST_FOR_INTERVAL = 20
"""Fewest steps for an interval. With fewer it would say more about the method than about the machine."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Speed of a run of steps: images over time."""

    steps: int
    images_per_s: float
    """All images over all time. A mean of rates would give fast steps more weight."""
    low: float | None
    high: float | None
    """95 % interval of `images_per_s`; None if there are too few steps."""
    step_ms_p50: float
    step_ms_p95: float


def speed_of(seconds: NDArray[np.float64], *, images_per_step: int) -> Speed | None:
    """Return the speed from the seconds of each step, in order; None if there is no step."""
    if not len(seconds):
        return None
    low, high = mean_interval(seconds) or (None, None)
    p50, p95 = np.percentile(seconds, [50, 95]) * 1e3
    return Speed(
        steps=len(seconds),
        images_per_s=images_per_step / float(seconds.mean()),
        low=images_per_step / high if high else None,
        high=images_per_step / low if low else None,
        step_ms_p50=float(p50),
        step_ms_p95=float(p95),
    )


def mean_interval(values: NDArray[np.float64], *, level: float = 0.95) -> tuple[float, float] | None:
    """Return an interval of the mean of values that are correlated in time; None if there are fewer than 20.

    Circular block bootstrap (Politis and Romano, 1992): blocks of about sqrt(n) neighbours are drawn, so that a slow
    period stays whole. They are drawn from a fixed seed: the same values give the same interval.
    """
    count = len(values)
    if count < FEWEST_FOR_INTERVAL:
        return None
    length = round(math.sqrt(count))
    means = block_means(values, length)
    starts = np.random.default_rng(0).integers(count, size=(RESAMPLES, math.ceil(count / length)))
    low, high = np.quantile(means[starts].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def block_means(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return the mean of every block of `length` neighbours, as many as values. The first value follows the last."""
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[: length - 1]]))])
    means: NDArray[np.float64] = (sums[length:] - sums[:-length]) / length
    return means


BLOCK_STEPS = 10
"""Number of steps in a timed block."""


@dataclass(frozen=True, kw_only=True)
class BlockRates:
    """Images per second of blocks of steps, which show how much the speed varies during a run."""

    blocks: int
    p5: float
    p50: float
    p95: float


def block_rates(seconds: NDArray[np.float64], *, images_per_step: int) -> BlockRates | None:
    """Return percentiles of the speed of whole blocks of 10 steps; None if there are none. The rest is ignored."""
    blocks = len(seconds) // BLOCK_STEPS
    if not blocks:
        return None
    rates = BLOCK_STEPS * images_per_step / seconds[: blocks * BLOCK_STEPS].reshape(blocks, BLOCK_STEPS).sum(axis=1)
    p5, p50, p95 = np.percentile(rates, [5, 50, 95])
    return BlockRates(blocks=blocks, p5=float(p5), p50=float(p50), p95=float(p95))
