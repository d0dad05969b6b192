"""One speed for many ranks. Each has a clock of its own, so only durations are compared, never moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def group_seconds(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the seconds of each step of a group that began together.

    A step lasts from when all ranks were done with the previous one until all are done with this one. The sum is the
    time in which all ranks finished all steps. The seconds of one rank would ignore the slowest rank. The slowest
    seconds of each step would count delays that ranks make up for later.

    Args:
        seconds: [ranks, steps], each rank's by its own clock, starting at a barrier.
    """
    ends: NDArray[np.float64] = np.cumsum(seconds, axis=1).max(axis=0)
    return np.diff(ends, prepend=0.0)


@dataclass(frozen=True, kw_only=True)
class Straggler:
    """The drift between ranks that do not wait for each other."""

    rank: int
    """The slowest rank."""
    spread_pct: float
    """Difference between the mean steps of the slowest and the fastest rank, in percent of the slowest's: the time that
    the fastest would wait."""


def straggler(seconds: NDArray[np.float64]) -> Straggler | None:
    """Find the slowest rank of [ranks, steps]; None if there is only one rank."""
    if len(seconds) < 2:
        return None
    means = seconds.mean(axis=1)
    slowest = int(means.argmax())
    return Straggler(rank=slowest, spread_pct=float(100 * (1 - means.min() / means[slowest])))
