"""How much two samples differ, with an interval, a test and the smallest effect that the test could have seen.

Differences are second less first. Errors differ in points, and a seed decides them: the same seeds make pairs. Speeds
differ by a ratio, so that their logarithms are compared. No seed decides them, but all trials of a sweep share the
state of the machine and the placement, so that a whole sweep can be faster or slower than its repeat.
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
"""Chance of seeing the smallest effect that is said to be visible."""
PAIRED, WELCH, SWEEP_MEANS = "paired", "Welch", "means of sweeps"
FEW = "one value a side has no spread to test with"
ONCE = "one sweep a side has no spread between sweeps to test with"
ABSENT = "one side has no value"
UNCOUNTED = "no seed varies, and the number of images is not known"
THESE_ALONE = "no seed varies, so this speaks of these networks alone"
ROUNDING = 1e-9
"""Difference of two errors, in points, that is none: far below an image's, above that of means of the same numbers."""
Sweeps = Sequence[Mapping[int, float]]
"""Logarithms of the speeds of one cell by seed, a mapping for each sweep of a side."""


class Source(StrEnum):
    """Where the spread between repeats of a whole sweep comes from."""

    DEFAULT = "default"
    GIVEN = "given"
    ESTIMATED = "estimated"


@dataclass(frozen=True, kw_only=True)
class Between:
    """How much the speeds of a whole sweep and of its repeat differ."""

    pct: float | None
    """Standard deviation of the logarithm of speed, times 100; None where no cell has values in every sweep."""
    source: Source
    df: float
    """Degrees of freedom of an estimate; infinite for an allowance, which is taken as known."""


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A difference that is distributed around the true one as Student's t, its standard error known."""

    value: float
    standard_error: float
    df: float
    level: float = 0.0
    """The part of the squared standard error that all cells of the sweeps share. It is taken as known."""

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, two-sided."""
        half = t_quantile(self.df, LEVEL) * self.standard_error
        return self.value - half, self.value + half

    def p_above(self, threshold: float) -> float:
        """One-sided p value against "the true difference is at most `threshold`"."""
        if self.standard_error == 0:
            return 0.0 if self.value > threshold else 1.0
        return float(special.stdtr(self.df, (threshold - self.value) / self.standard_error))

    @property
    def p_value(self) -> float:
        """Two-sided, against no difference."""
        if self.standard_error == 0:
            return 0.0 if self.value else 1.0
        return 2 * float(special.stdtr(self.df, -abs(self.value) / self.standard_error))

    def visible(self, alpha: float = ALPHA, power: float = POWER) -> float | None:
        """The smallest difference that a two-sided test at `alpha` sees with `power`; None without any spread."""
        if self.standard_error == 0:
            return None
        return self.standard_error * _noncentrality(self.df, t_quantile(self.df, 1 - alpha), power)


def _noncentrality(df: float, critical: float, power: float) -> float:
    """Where the noncentral t's upper tail beyond the critical value is the power, by bisection."""
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
    """An effect, how it was found and from how many values; without an effect, why there is none."""

    effect: Effect | None
    method: str
    n: str
    same: bool = False
    """Both sides have the same seeds, and of each the same value."""
    note: str = ""
    """A limit of what the effect says."""


def measure(
    first: Mapping[int, float], second: Mapping[int, float], *, images: tuple[int, int] | None = None
) -> Measured:
    """Compare the errors of two cells, given as seed -> value: paired over the seeds they share, else as two samples.

    Args:
        first: in percent.
        second: the same, of the other cell.
        images: behind each error of both sides. Where neither side varies, the exact interval of one network's count is
            all that is known.
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
    """From the exact intervals of two counts of images, joined after Newcombe (1998); a normal with its wider half."""
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

    The same seeds are no pairs: a seed does not decide a speed. Only trials of both sides that ran in turn would be
    pairs, and no launcher runs them so. Each sweep's mean has the spread of its own seeds, as in Welch's test, and the
    allowance.

    Args:
        first: at least two seeds in every sweep, else there is nothing to test with.
        second: the same, of the other side.
        between: standard deviation of the logarithm between repeats of a whole sweep, taken as known.
    """
    n = "+".join(str(sum(map(len, side))) for side in (first, second))
    if min(map(len, (*first, *second)), default=0) < 2 or not (first and second):
        return Measured(effect=None, method=FEW if first and second else ABSENT, n=n)
    if list(first) == list(second):
        return Measured(effect=_nothing(len(first[0])), method=WELCH, n=n, same=True)
    level = between**2 * (1 / len(first) + 1 / len(second))
    return Measured(effect=widened(_within(first, second), level), method=WELCH, n=n)


def _within(first: Sweeps, second: Sweeps) -> Effect:
    """The difference of the sides' means of sweeps, as far as the seeds of one sweep differ."""
    one, two = (together([_mean_of(list(seeds.values())) for seeds in side]) for side in (first, second))
    variances = one.standard_error**2, two.standard_error**2
    return Effect(
        value=two.value - one.value,
        standard_error=math.sqrt(sum(variances)),
        df=_satterthwaite(variances, (one.df, two.df)),
    )


def _mean_of(values: Sequence[float]) -> Effect:
    return Effect(value=fmean(values), standard_error=stdev(values) / math.sqrt(len(values)), df=len(values) - 1)


def _satterthwaite(variances: Sequence[float], dfs: Sequence[float]) -> float:
    """Degrees of freedom of a sum of independent estimates of variance; one that is known has infinitely many."""
    shares = sum(variance**2 / df for variance, df in zip(variances, dfs, strict=True))
    return sum(variances) ** 2 / shares if shares else math.inf


def measure_sweeps(first: Sequence[float], second: Sequence[float]) -> Measured:
    """Compare the means of whole sweeps, each one value: Student's t test.

    Their spread is of the machine and not of a side, so that both sides together show it.
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


def estimated(first: Sequence[float], second: Sequence[float]) -> Between:
    """The spread of the means of sweeps around the mean of their side, both sides pooled."""
    df = sum(max(len(side) - 1, 0) for side in (first, second))
    squares = math.fsum((value - fmean(side)) ** 2 for side in (first, second) for value in side)
    return Between(pct=100 * math.sqrt(squares / df) if df else None, source=Source.ESTIMATED, df=df)


def widened(effect: Effect, level: float) -> Effect:
    """With a variance on top that all cells share and that is taken as known."""
    variances = effect.standard_error**2, level
    return Effect(
        value=effect.value,
        standard_error=math.sqrt(sum(variances)),
        df=_satterthwaite(variances, (effect.df, math.inf)),
        level=effect.level + level,
    )


def together(effects: Sequence[Effect]) -> Effect:
    """The mean of independent effects, each weighing the same.

    What seeds add to the variance averages out over cells. What a whole sweep shares does not: it counts in full, as in
    the cell that has most of it.
    """
    level, count = max(effect.level for effect in effects), len(effects)
    # The degrees of freedom of an effect with a known level are such that these shares are those of its seeds alone.
    shares = sum(effect.standard_error**4 / effect.df for effect in effects) / count**4
    variance = sum(effect.standard_error**2 - effect.level for effect in effects) / count**2 + level
    return Effect(
        value=fmean(effect.value for effect in effects),
        standard_error=math.sqrt(max(variance, 0.0)),
        df=variance**2 / shares if shares else math.inf,
        level=level,
    )
