"""One speed of many ranks. Each has a clock of its own, so only lengths of time are compared, never moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def group_seconds(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Seconds of each step of a group that began together: from when all ranks were done to when all are again.

    Their sum is the time in which all of them were done with everything. To take one rank's would leave out what the
    slowest does; to take the slowest of each step would count what the ranks make up for later.

    Args:
        seconds: [ranks, steps], each rank's by its own clock, from a barrier on.
    """
    ends: NDArray[np.float64] = np.cumsum(seconds, axis=1).max(axis=0)
    return np.diff(ends, prepend=0.0)


@dataclass(frozen=True, kw_only=True)
class Straggler:
    """How far ranks that do not wait for each other drift apart."""

    rank: int
    """The slowest."""
    spread_pct: float
    """The slowest's mean step less the fastest's, as a share of the slowest's: so long the fastest would wait."""


def straggler(seconds: NDArray[np.float64]) -> Straggler | None:
    """The slowest rank of [ranks, steps], None where there is but one rank."""
    if len(seconds) < 2:
        return None
    means = seconds.mean(axis=1)
    slowest = int(means.argmax())
    return Straggler(rank=slowest, spread_pct=float(100 * (1 - means.min() / means[slowest])))
