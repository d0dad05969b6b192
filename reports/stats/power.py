"""The power of the tests behind claims, and the number of seeds for a given power.

A test must distinguish its measurement from one bound or from two. Its distances are how far the true difference lies
inside each bound, in points: one distance for an ordering, two for an equivalence.

Welch's test estimates its standard error and its degrees of freedom from the seeds. The power is therefore the mean
over the spreads that n seeds may show: chi-squared quantiles, the same for every call, so that the same question always
gets the same answer. Formulas that use the true spreads promise up to forty points too much with two seeds per cell.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

POWER = 0.8
"""Chance of a verdict that a plan requires."""

Array = NDArray[np.float64]

_SPREADS = 1024
"""Sets of spreads over which the power of one comparison is averaged."""
_SWEEPS = 10_000
"""Simulated sweeps for the power of several comparisons together: a standard error of at most half a point."""
_SEED = 20151210


@dataclass(frozen=True, kw_only=True)
class Spreads:
    """Standard deviations between seeds of the cells that a test compares, and of a published mean."""

    sds: tuple[float, ...]
    published_sd: float = 0.0
    published_runs: int = 2
    """Runs behind the published mean; ignored without one, because `published_sd` is then zero."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A planned comparison, one of several that share cells."""

    distances: Callable[[Array], Sequence[Array]]
    """Function from a measured difference to its distances inside the bounds of the claim."""
    gap: float
    """The true difference, in points."""
    weights: tuple[tuple[int, float], ...]
    """The cells of the comparison: index, and weight of the mean in the difference."""
    spreads: Spreads
    """Spreads of these cells, in the same order."""


def power_of(distances: Sequence[float], spreads: Spreads, *, n: int, alpha: float) -> float:
    """Return the chance that two-sided Welch tests with n seeds per cell show every distance, with its sign."""
    if n < 2:
        return 0.0
    variances = _relative_variances(n, len(spreads.sds))
    needed = _detectable_distance(np.array(spreads.sds) * np.sqrt(variances.T), spreads, n, alpha)
    error = math.sqrt(sum(sd**2 for sd in spreads.sds) / n)
    if not error:
        return float(np.mean(min(map(abs, distances)) > needed))
    below, *above = [(abs(distance) - needed) / error for distance in distances]
    chance = special.ndtr(below) - (special.ndtr(-above[0]) if above else 0.0)
    return float(np.mean(np.maximum(chance, 0.0)))


def power_of_all(planned: Sequence[Planned], *, n: int, alpha: float) -> float:
    """Return the chance that several comparisons all support their claim; cells that they share are drawn once."""
    if n < 2:
        return 0.0
    if len(planned) == 1:
        [one] = planned
        distances = [float(distance) for distance in one.distances(np.array(one.gap))]
        return power_of(distances, one.spreads, n=n, alpha=alpha)
    rng = np.random.default_rng(_SEED)
    cells = 1 + max(index for one in planned for index, _ in one.weights)
    means = rng.standard_normal((cells, _SWEEPS)) / math.sqrt(n)
    sds = np.sqrt(rng.chisquare(n - 1, (cells, _SWEEPS)) / (n - 1))
    supported = np.ones(_SWEEPS, bool)
    for one in planned:
        indices = [index for index, _ in one.weights]
        true = np.array(one.spreads.sds)[:, None]
        weights = np.array([weight for _, weight in one.weights])
        measured = one.gap + weights @ (true * means[indices])
        needed = _detectable_distance((true * sds[indices]).T, one.spreads, n, alpha)
        supported &= np.min(one.distances(measured), axis=0) > needed
    return float(supported.mean())


def required_seeds(
    distances: Sequence[float], spreads: Spreads, *, alpha: float, power: float = POWER, most: int = 1000
) -> int | None:
    """Return the seeds per cell with which the tests detect every distance.

    None if no number up to `most` (100 beside a published mean) suffices, if a distance is zero, or if there is no
    spread.
    """
    if not all(distances) or not any(spreads.sds):
        return None

    def enough(n: int) -> bool:
        return power_of(distances, spreads, n=n, alpha=alpha) >= power

    # Beside a published mean, more seeds can lower the power: its few degrees of freedom then dominate.
    return next(filter(enough, range(2, 101)), None) if spreads.published_sd else first_enough(enough, most=most)


def first_enough(enough: Callable[[int], bool], *, most: int) -> int | None:
    """Return the smallest number of seeds that is enough, from two on; None if `most` are not."""
    if not enough(most):
        return None
    return 2 + bisect_left(range(2, most), True, key=enough)


def detectable(spreads: Spreads, *, n: int, alpha: float, power: float = POWER) -> float | None:
    """Return the smallest distance that n seeds per cell detect; None for one seed, or without any spread."""
    if n < 2 or not any(spreads.sds):
        return None
    low, high = 0.0, 1000 * max(spreads.sds)
    if power_of([high], spreads, n=n, alpha=alpha) < power:
        return None
    for _ in range(40):
        middle = (low + high) / 2
        enough = power_of([middle], spreads, n=n, alpha=alpha) >= power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _detectable_distance(sds: Array, spreads: Spreads, n: int, alpha: float) -> Array:
    """Return the smallest distance from zero that a Welch test detects, one for each set of spreads of the seeds.

    Args:
        sds: standard deviations of the seeds, [sets, cells].
        spreads: holds the published standard deviation and its runs.
        n: seeds per cell.
        alpha: two-sided level.
    """
    variances = sds**2 / n
    fixed = spreads.published_sd**2 / spreads.published_runs
    total = variances.sum(axis=1) + fixed
    shares = (variances**2).sum(axis=1) / (n - 1) + fixed**2 / (spreads.published_runs - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        inverse_df = np.where(total > 0, shares / total**2, 1.0)
    if fixed and n != spreads.published_runs:  # as in `inference.conservative_welch`
        inverse_df = np.full_like(inverse_df, 1 / (min(n, spreads.published_runs) - 1))
    distance: Array = np.exp(np.interp(inverse_df, *_log_critical(alpha))) * np.sqrt(total)
    return distance


@cache
def _log_critical(alpha: float) -> tuple[Array, Array]:
    """Tabulate the logarithm of Student's two-sided critical value over 1 / degrees of freedom, for interpolation."""
    inverse_df = np.linspace(0.0, 1.0, 257)
    with np.errstate(divide="ignore"):
        critical = special.stdtrit(1 / inverse_df, 1 - alpha / 2)
    critical[0] = special.ndtri(1 - alpha / 2)
    return inverse_df, np.log(critical)


@cache
def _relative_variances(n: int, cells: int) -> Array:
    """Return sample variances of n normal values over the true one, [cells, sets]: equally likely, in a fixed order."""
    quantiles = special.chdtri(n - 1, 1 - (np.arange(_SPREADS) + 0.5) / _SPREADS) / (n - 1)
    rng = np.random.default_rng(_SEED)
    return np.stack([rng.permutation(quantiles) for _ in range(cells)])
