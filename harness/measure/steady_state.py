"""Warm-up of a run of steps, and whether its speed was steady while it was timed. Pure functions of seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harness.measure.steps import block_means


@dataclass(frozen=True, kw_only=True)
class WarmUp:
    """The rule that decides how many steps are left out before any counts.

    Steps come in windows. A run is steady once the median step of each of the last `agreeing` windows is within
    `tolerance` of the window before it: by then caches are full, kernels chosen, graphs compiled, and clocks stable.
    """

    window_steps: int = 5
    tolerance: float = 0.05
    agreeing: int = 2
    most_windows: int = 20
    """Most windows of a warm-up. A run that is not steady by then is timed all the same, and reports it."""

    def is_steady(self, medians: Sequence[float]) -> bool:
        """Return whether a run is warm, given the median step of each window so far, in seconds."""
        last = medians[-self.agreeing - 1 :]
        if len(last) <= self.agreeing:
            return False
        return all(abs(after / before - 1) <= self.tolerance for before, after in pairwise(last))


FIRST, LAST = 0.2, 0.5
"""Shares of a run that are compared: its first steps and its second half."""
FEWEST_STEPS = 50
MOST_STANDARD_ERRORS = 3.0
SMALLEST_PCT = 2.0
"""Smallest difference in percent that counts as drift, however certain a smaller one is."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The difference in speed between the beginning and the end of a run."""

    pct: float
    """Mean of the first steps over the mean of the second half, minus 100 %: above 0 the run became faster."""
    standard_errors: float
    """The same difference as a multiple of its standard error."""

    @property
    def is_steady(self) -> bool:
        """Whether beginning and end are equally fast: the difference is small, or within three standard errors."""
        return abs(self.pct) <= SMALLEST_PCT or abs(self.standard_errors) <= MOST_STANDARD_ERRORS


def drift_of(seconds: NDArray[np.float64]) -> Drift | None:
    """Compare the first fifth of the steps with the second half; None below 50 steps.

    This is Geweke's diagnostic (1992). The variance of the mean allows for the correlation of neighbouring steps, and
    is estimated on the second half. Steps are first clipped at the 5th and the 95th percentile, so that one pause is no
    drift.
    """
    if len(seconds) < FEWEST_STEPS:
        return None
    steps = np.clip(seconds, *np.percentile(seconds, [5, 95]))
    first, last = steps[: round(FIRST * len(steps))], steps[-round(LAST * len(steps)) :]
    difference = float(first.mean() - last.mean())
    length = round(math.sqrt(len(last)))
    variance = length * float(block_means(last, length).var())
    error = math.sqrt(variance * (1 / len(first) + 1 / len(last)))
    if error == 0:
        ratio = 0.0 if difference == 0 else math.copysign(math.inf, difference)
    else:
        ratio = difference / error
    return Drift(pct=100 * difference / float(last.mean()), standard_errors=ratio)
