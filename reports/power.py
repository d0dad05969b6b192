"""How sure a number of seeds makes one: power of the tests behind claims, and the seeds that a wanted power takes.

What is asked of a test is a list of distances, in points: how far what it measures lies from each bound that it must be
told from. An ordering has one bound, an equivalence two. The chance of telling all of them is at least one less the sum
of the chances of missing each (Bonferroni). Degrees of freedom are those of the true spreads; Welch's test guesses them
from the seeds, which costs it power where seeds are few: some ten points at three, one at five.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

POWER = 0.8
"""Chance of a verdict that a plan asks for."""


@dataclass(frozen=True, kw_only=True)
class Spreads:
    """Standard deviations between seeds of the cells that a test compares, and of a published mean beside them."""

    sds: tuple[float, ...]
    published_sd: float = 0.0
    published_runs: int = 2
    """Runs behind the published mean; without one its `published_sd` is zero, and they do not matter."""


def power_of(distances: Sequence[float], spreads: Spreads, *, n: int, alpha: float) -> float:
    """Chance that two-sided Welch tests with n seeds a cell tell every distance from zero, each in its direction."""
    return max(0.0, 1 - sum(1 - _power(distance, spreads, n=n, alpha=alpha) for distance in distances))


def required_seeds(
    distances: Sequence[float], spreads: Spreads, *, alpha: float, power: float = POWER, most: int = 1000
) -> int | None:
    """Seeds a cell with which the tests would tell every distance from zero.

    None where no number up to `most` (100 beside a published mean) would do: no distance, no spread to reckon with.
    """
    if not all(distances) or not any(spreads.sds):
        return None
    if spreads.published_sd:
        return _first_that_does(distances, spreads, alpha, power)
    if power_of(distances, spreads, n=most, alpha=alpha) < power:
        return None
    low, high = 1, most
    while high - low > 1:
        middle = (low + high) // 2
        enough = power_of(distances, spreads, n=middle, alpha=alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _first_that_does(distances: Sequence[float], spreads: Spreads, alpha: float, power: float) -> int | None:
    """Beside a published mean power has a peak: many seeds of ours leave its few degrees of freedom to rule alone."""
    does = (n for n in range(2, 101) if power_of(distances, spreads, n=n, alpha=alpha) >= power)
    return next(does, None)


def detectable(spreads: Spreads, *, n: int, alpha: float, power: float = POWER) -> float | None:
    """The smallest distance that n seeds a cell tell from zero; None for one seed, or without any spread."""
    if n < 2 or not any(spreads.sds):
        return None
    low, high = 0.0, 1000 * max(spreads.sds)
    if _power(high, spreads, n=n, alpha=alpha) < power:
        return None
    for _ in range(60):
        middle = (low + high) / 2
        enough = _power(middle, spreads, n=n, alpha=alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _power(distance: float, spreads: Spreads, *, n: int, alpha: float) -> float:
    """Chance of a verdict in the right direction: the noncentral t distribution's upper tail."""
    if n < 2:
        return 0.0
    variances = [sd**2 / n for sd in spreads.sds]
    fixed = spreads.published_sd**2 / spreads.published_runs
    total = sum(variances) + fixed
    df = total**2 / (sum(one**2 / (n - 1) for one in variances) + fixed**2 / (spreads.published_runs - 1))
    critical = float(special.stdtrit(df, 1 - alpha / 2))
    missed = float(special.nctdtr(df, abs(distance) / math.sqrt(total), critical))
    return 1.0 if math.isnan(missed) else 1 - missed  # scipy gives NaN where a chance is too small for a float
