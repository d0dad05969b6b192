"""How much two samples differ, with an interval, a test and the smallest effect that the test could have seen.

Differences are second less first. Errors differ in points; speeds by a ratio, so that they are compared as logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import special

from reports.statistics import LEVEL, CountDifference, t_quantile, varies, welch

ALPHA = 1 - LEVEL
POWER = 0.8
"""Chance of seeing the smallest effect that is said to be visible."""
PAIRED = "paired"
FEW = "one value a side has no spread to test with"
ABSENT = "one side has no value"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A difference that is distributed around the true one as Student's t, its standard error known."""

    value: float
    standard_error: float
    df: float

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


def measure(first: Mapping[int, float], second: Mapping[int, float], *, images: int | None = None) -> Measured:
    """Compare two cells, given as seed -> value: paired over the seeds they share, else as two samples.

    Args:
        first: errors in percent, or logarithms of speeds.
        second: the same, of the other cell.
        images: behind each error. Where neither side varies, the exact interval of one network's count is all that is
            known (see `CountDifference`).
    """
    shared = sorted(set(first) & set(second))
    pairs = [second[seed] - first[seed] for seed in shared]
    n = f"{len(first)}+{len(second)}"
    if len(shared) > 1:
        if not any(pairs):
            same = len(first) == len(second) == len(shared)
            return Measured(effect=_nothing(len(pairs)), method=PAIRED, n=f"{len(pairs)} pairs", same=same)
        if varies(pairs):
            return Measured(effect=_paired(pairs), method=PAIRED, n=f"{len(pairs)} pairs")
    found = welch(list(first.values()), list(second.values()))
    if found is not None:
        return Measured(
            effect=Effect(value=found.value, standard_error=found.standard_error, df=found.df), method="Welch", n=n
        )
    if min(len(first), len(second)) < 2:
        return Measured(effect=None, method=FEW if first and second else ABSENT, n=n)
    return Measured(effect=_counted(fmean(first.values()), fmean(second.values()), images), method="exact counts", n=n)


def _nothing(pairs: int) -> Effect:
    return Effect(value=0.0, standard_error=0.0, df=pairs - 1)


def _paired(differences: Sequence[float]) -> Effect:
    count = len(differences)
    return Effect(value=fmean(differences), standard_error=stdev(differences) / math.sqrt(count), df=count - 1)


def _counted(first_pct: float, second_pct: float, images: int | None) -> Effect:
    """From the exact interval of two counts, as a normal with that interval's wider half."""
    if images is None:
        return Effect(value=second_pct - first_pct, standard_error=0.0, df=math.inf)
    wrong = [round(pct * images / 100) for pct in (first_pct, second_pct)]
    counts = CountDifference(wrong_1=wrong[0], images_1=images, wrong_2=wrong[1], images_2=images)
    low, high = counts.interval(LEVEL)
    half = max(counts.value - low, high - counts.value)
    return Effect(value=counts.value, standard_error=half / t_quantile(math.inf, LEVEL), df=math.inf)


def together(effects: Sequence[Effect]) -> Effect:
    """The mean of independent effects, each weighing the same; degrees of freedom after Satterthwaite."""
    variances = [effect.standard_error**2 for effect in effects]
    shares = sum(variance**2 / effect.df for variance, effect in zip(variances, effects, strict=True))
    return Effect(
        value=fmean(effect.value for effect in effects),
        standard_error=math.sqrt(sum(variances)) / len(effects),
        df=sum(variances) ** 2 / shares if shares else math.inf,
    )
