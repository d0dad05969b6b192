"""One quantity, measured several times in a row."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """Every value that was measured, in order; never empty."""

    values: tuple[float, ...]

    @property
    def n(self) -> int:
        """How often it was measured."""
        return len(self.values)

    @property
    def median(self) -> float:
        """What to expect of it."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The least."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The most."""
        return max(self.values)

    def times(self, factor: float) -> Repeats:
        """The same in another unit."""
        return Repeats(values=tuple(value * factor for value in self.values))


def rates(
    work: Callable[[], object],
    *,
    amount: float,
    n: int,
    block_s: float,
    settle: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Repeats:
    """Amount per second of some work, `n` times over blocks of about `block_s` seconds each.

    Args:
        work: done once untimed, then as often as a block asks for.
        amount: what one call of `work` does: FLOPs, bytes, images.
        n: blocks.
        block_s: length of a block. A single call that takes longer is a block.
        settle: waits until the work is truly done; a GPU has only queued it.
        clock: in seconds.
    """
    work()
    settle()
    calls = max(1, round(block_s / max(timed_calls(work, 1, settle, clock), 1e-9)))
    return Repeats(values=tuple(amount * calls / timed_calls(work, calls, settle, clock) for _ in range(n)))


def timed_calls(
    work: Callable[[], object], calls: int, settle: Callable[[], None], clock: Callable[[], float]
) -> float:
    """Seconds that some calls take together, until their work is truly done."""
    began = clock()
    for _ in range(calls):
        work()
    settle()
    return clock() - began
