"""One quantity, measured several times in a row."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """All measured values, in order; never empty."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """Number of values."""
        return len(self.values)

    @property
    def median(self) -> float:
        """The median value."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The lowest value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The highest value."""
        return max(self.values)

    def times(self, factor: float) -> Repeats:
        """Return the same values in another unit, each multiplied by the factor."""
        return Repeats(values=tuple(value * factor for value in self.values))


def rates(
    work: Callable[[], object],
    *,
    amount: float,
    n: int,
    block_s: float,
    synchronize: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Repeats:
    """Return the amount per second of some work, `n` times over blocks of about `block_s` seconds each.

    Args:
        work: called once untimed, then as often as a block needs.
        amount: amount of work in one call: FLOPs, bytes, images.
        n: number of blocks.
        block_s: seconds of a block. A single call that takes longer is a block.
        synchronize: waits until the work is truly done; a GPU has only queued it.
        clock: returns the time in seconds.
    """
    work()
    synchronize()
    calls = max(1, round(block_s / max(timed_calls(work, 1, synchronize, clock), 1e-9)))
    return Repeats(values=tuple(amount * calls / timed_calls(work, calls, synchronize, clock) for _ in range(n)))


def timed_calls(
    work: Callable[[], object], calls: int, synchronize: Callable[[], None], clock: Callable[[], float]
) -> float:
    """Return the seconds that some calls take together, until their work is truly done."""
    began = clock()
    for _ in range(calls):
        work()
    synchronize()
    return clock() - began


def synchronizer(device: torch.device) -> Callable[[], None]:
    """Return a function that waits until the device has done all queued work."""
    return partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None
