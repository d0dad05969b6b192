"""Difference of two samples, with an interval, a test and the smallest effect that the test could have detected.

Differences are the second minus the first. Errors differ in points and depend on the seed: equal seeds make pairs.
Speeds differ by a ratio, so their logarithms are compared. They do not depend on the seed, but all trials of a sweep
share the state of the machine and the placement, so a whole sweep can be faster or slower than its repeat.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import fmean, stdev

from scipy import special

from reports.stats.inference import LEVEL, clopper_pearson_pct, t_quantile, varies, welch

ALPHA = 1 - LEVEL
POWER = 0.8
"""Chance of detecting the smallest effect that is called visible."""
PAIRED, WELCH, SWEEP_MEANS = "paired", "Welch", "means of sweeps"
FEW = "one value a side has no spread to test with"
ONCE = "one sweep a side has no spread between sweeps to test with"
ABSENT = "one side has no value"
UNCOUNTED = "no seed varies, and the number of images is not known"
THESE_ALONE = "no seed varies, so this speaks of these networks alone"
ROUNDING = 1e-9
"""Largest difference of two errors, in points, that counts as none: far below one image, above the rounding of means of
the same numbers."""
Sweeps = Sequence[Mapping[int, float]]
"""Logarithms of the speeds of one cell by seed, one mapping for each sweep of a side."""


class Source(StrEnum):
    """Source of the spread between repeats of a whole sweep."""

    DEFAULT = "default"
    GIVEN = "given"
    ESTIMATED = "estimated"


@dataclass(frozen=True, kw_only=True)
class SweepSpread:
    """The spread between the speeds of a whole sweep and of its repeat."""

    pct: float | None
    """Standard deviation of the logarithm of speed, times 100; None if no cell has values in every sweep."""
    source: Source
    df: float
    """Degrees of freedom of an estimate; infinite for an allowance, which is assumed to be known."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A difference that follows Student's t around the true one, with its standard error."""

    value: float
    standard_error: float
    df: float
    level: float = 0.0
    """The part of the squared standard error that all cells of the sweeps share. It is assumed to be known."""

    @property
    def interval(self) -> tuple[float, float]:
        """Two-sided 95 % interval."""
        half = t_quantile(self.df, LEVEL) * self.standard_error
        return self.value - half, self.value + half

    def p_above(self, threshold: float) -> float:
        """Return the one-sided p value against "the true difference is at most `threshold`"."""
        if self.standard_error == 0:
            return 0.0 if self.value > threshold else 1.0
        return float(special.stdtr(self.df, (threshold - self.value) / self.standard_error))

    @property
    def p_value(self) -> float:
        """Two-sided p value against no difference."""
        if self.standard_error == 0:
            return 0.0 if self.value else 1.0
        return 2 * float(special.stdtr(self.df, -abs(self.value) / self.standard_error))

    def visible(self, alpha: float = ALPHA, power: float = POWER) -> float | None:
        """Return the smallest difference that a two-sided test at `alpha` detects with `power`; None if no spread."""
        if self.standard_error == 0:
            return None
        return self.standard_error * _noncentrality(self.df, t_quantile(self.df, 1 - alpha), power)


def _noncentrality(df: float, critical: float, power: float) -> float:
    """Return, by bisection, the noncentrality at which the noncentral t exceeds the critical value with this power."""
    low, high = 0.0, 1.0
    while 1 - float(special.nctdtr(df, high, critical)) < power:
        low, high = high, 2 * high
        if high > 1e6:
            return high
    for _ in range(60):
        middle = (low + high) / 2
        reached = 1 - float(special.nctdtr(df, middle, critical)) >= power
        low, high = (low, middle) if reached else (middle, high)
    return high


@dataclass(frozen=True, kw_only=True)
class Measured:
    """An effect, its method and its number of values; without an effect, the reason."""

    effect: Effect | None
    method: str
    n: str
    same: bool = False
    """Whether both sides have the same seeds with the same values."""
    note: str = ""
    """A limit on what the effect shows."""


def measure(
    first: Mapping[int, float], second: Mapping[int, float], *, images: tuple[int, int] | None = None
) -> Measured:
    """Compare the errors of two cells, given as seed -> value: paired over shared seeds, else as two samples.

    Args:
        first: errors of the first cell, in percent.
        second: errors of the second cell, in percent.
        images: images behind each error of the first and the second side. If neither side varies, only the exact
            interval of one network's count is known.
    """
    shared = sorted(set(first) & set(second))
    pairs = [second[seed] - first[seed] for seed in shared]
    n = f"{len(first)}+{len(second)}"
    if len(shared) > 1:
        if max(map(abs, pairs)) <= ROUNDING:
            same = len(first) == len(second) == len(shared)
            return Measured(effect=_nothing(len(pairs)), method=PAIRED, n=f"{len(pairs)} pairs", same=same)
        if varies(pairs):
            return Measured(effect=_paired(pairs), method=PAIRED, n=f"{len(pairs)} pairs")
    found = welch(list(first.values()), list(second.values()))
    if found is not None:
        return Measured(
            effect=Effect(value=found.value, standard_error=found.standard_error, df=found.df), method=WELCH, n=n
        )
    if min(len(first), len(second)) < 2:
        return Measured(effect=None, method=FEW if first and second else ABSENT, n=n)
    if images is None:
        return Measured(effect=None, method=UNCOUNTED, n=n)
    counted = _counted(fmean(first.values()), fmean(second.values()), images)
    return Measured(effect=counted, method="exact counts", n=n, note=THESE_ALONE)


def _nothing(pairs: int) -> Effect:
    return Effect(value=0.0, standard_error=0.0, df=pairs - 1)


def _paired(differences: Sequence[float]) -> Effect:
    count = len(differences)
    return Effect(value=fmean(differences), standard_error=stdev(differences) / math.sqrt(count), df=count - 1)


def _counted(first_pct: float, second_pct: float, images: tuple[int, int]) -> Effect:
    """Join the exact intervals of two counts of images after Newcombe (1998); as a normal with the wider half."""
    (low_1, high_1), (low_2, high_2) = (
        clopper_pearson_pct(round(pct * count / 100), count, LEVEL)
        for pct, count in zip((first_pct, second_pct), images, strict=True)
    )
    below, above = (
        math.hypot(second_pct - low_2, high_1 - first_pct),
        math.hypot(high_2 - second_pct, first_pct - low_1),
    )
    error = max(below, above) / t_quantile(math.inf, LEVEL)
    return Effect(value=second_pct - first_pct, standard_error=error, df=math.inf)


def measure_speed(first: Sweeps, second: Sweeps, *, between: float) -> Measured:
    """Compare the speeds of one cell as two samples, with an allowance for the difference between whole sweeps.

    Equal seeds do not make pairs, because speed does not depend on the seed. Only trials of both sides that ran in turn
    would be pairs, and no launcher runs them so. Each sweep's mean has the spread of its own seeds, as in Welch's test,
    and the allowance.

    Args:
        first: speeds of the first side; a test needs at least two seeds in every sweep.
        second: speeds of the second side, likewise.
        between: standard deviation of the logarithm between repeats of a whole sweep, assumed to be known.
    """
    n = "+".join(str(sum(map(len, side))) for side in (first, second))
    if min(map(len, (*first, *second)), default=0) < 2 or not (first and second):
        return Measured(effect=None, method=FEW if first and second else ABSENT, n=n)
    if list(first) == list(second):
        return Measured(effect=_nothing(len(first[0])), method=WELCH, n=n, same=True)
    level = between**2 * (1 / len(first) + 1 / len(second))
    return Measured(effect=with_sweep_variance(_within(first, second), level), method=WELCH, n=n)


def _within(first: Sweeps, second: Sweeps) -> Effect:
    """Return the difference between the sides' means of sweeps, with the spread between seeds of one sweep only."""
    one, two = (mean_effect([_mean_of(list(seeds.values())) for seeds in side]) for side in (first, second))
    variances = one.standard_error**2, two.standard_error**2
    return Effect(
        value=two.value - one.value,
        standard_error=math.sqrt(sum(variances)),
        df=_satterthwaite(variances, (one.df, two.df)),
    )


def _mean_of(values: Sequence[float]) -> Effect:
    return Effect(value=fmean(values), standard_error=stdev(values) / math.sqrt(len(values)), df=len(values) - 1)


def _satterthwaite(variances: Sequence[float], dfs: Sequence[float]) -> float:
    """Return the degrees of freedom of a sum of independent variance estimates; a known one has infinitely many."""
    shares = sum(variance**2 / df for variance, df in zip(variances, dfs, strict=True))
    return sum(variances) ** 2 / shares if shares else math.inf


def measure_sweeps(first: Sequence[float], second: Sequence[float]) -> Measured:
    """Compare the means of whole sweeps, each one value: Student's t test.

    Their spread belongs to the machine and not to a side, so both sides are pooled.
    """
    n = f"{len(first)}+{len(second)} sweeps"
    if not (first and second):
        return Measured(effect=None, method=ABSENT, n=n)
    spread = estimated(first, second)
    if spread.pct is None:
        return Measured(effect=None, method=ONCE, n=n)
    error = spread.pct / 100 * math.sqrt(1 / len(first) + 1 / len(second))
    effect = Effect(value=fmean(second) - fmean(first), standard_error=error, df=spread.df)
    return Measured(effect=effect, method=SWEEP_MEANS, n=n, same=list(first) == list(second))


def estimated(first: Sequence[float], second: Sequence[float]) -> SweepSpread:
    """Estimate the spread of the means of sweeps around the mean of their side, with both sides pooled."""
    df = sum(max(len(side) - 1, 0) for side in (first, second))
    squares = math.fsum((value - fmean(side)) ** 2 for side in (first, second) for value in side)
    return SweepSpread(pct=100 * math.sqrt(squares / df) if df else None, source=Source.ESTIMATED, df=df)


def with_sweep_variance(effect: Effect, level: float) -> Effect:
    """Add a variance that all cells share and that is assumed to be known."""
    variances = effect.standard_error**2, level
    return Effect(
        value=effect.value,
        standard_error=math.sqrt(sum(variances)),
        df=_satterthwaite(variances, (effect.df, math.inf)),
        level=effect.level + level,
    )


def mean_effect(effects: Sequence[Effect]) -> Effect:
    """Return the mean of independent effects with equal weights.

    The variance from seeds averages out over cells. The variance that a whole sweep shares does not: it counts in full,
    with the value of the cell that has the largest one.
    """
    level, count = max(effect.level for effect in effects), len(effects)
    # With a known level, the degrees of freedom of an effect make these shares those of its seeds alone.
    shares = sum(effect.standard_error**4 / effect.df for effect in effects) / count**4
    variance = sum(effect.standard_error**2 - effect.level for effect in effects) / count**2 + level
    return Effect(
        value=fmean(effect.value for effect in effects),
        standard_error=math.sqrt(max(variance, 0.0)),
        df=variance**2 / shares if shares else math.inf,
        level=level,
    )
