"""Intervals, tests and sample sizes. Pure functions of numbers; `scipy.special` is all they load.

A sample is what the seeds of one cell gave. Errors are percentages, differences are percentage points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Protocol

from scipy import special

LEVEL = 0.95
"""Confidence of every interval in a report."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The mean of a sample with Student's t interval. What cannot be known is None."""

    n: int
    mean: float | None = None
    sd: float | None = None
    """Sample standard deviation; None below two values."""
    low: float | None = None
    high: float | None = None
    exact: bool = False
    """The interval is the exact binomial one of a single network's count of images; True for one seed only."""

    @property
    def alike(self) -> bool:
        """All of several seeds gave the same value, so their spread is unknown and there is no interval."""
        return self.n > 1 and self.low is None


def estimate(values: Sequence[float], *, floor: float = -math.inf, ceiling: float = math.inf) -> Estimate:
    """The mean and its 95 % t interval, cut at the quantity's own limits: an error below 0 % does not exist.

    Values that are all the same have no interval: they do not tell how far the next one may lie.
    """
    if not values:
        return Estimate(n=0)
    if len(values) == 1:
        return Estimate(n=1, mean=values[0])
    if not varies(values):
        return Estimate(n=len(values), mean=values[0], sd=0.0)
    mean, sd = fmean(values), deviation(values)
    half = t_quantile(len(values) - 1, LEVEL) * sd / math.sqrt(len(values))
    return Estimate(n=len(values), mean=mean, sd=sd, low=max(mean - half, floor), high=min(mean + half, ceiling))


def estimate_pct(values: Sequence[float], *, images: int | None = None) -> Estimate:
    """As `estimate`, for errors in percent; one seed gets the exact binomial interval of its count of images."""
    if images and len(values) == 1:
        low, high = clopper_pearson_pct(round(values[0] * images / 100), images, LEVEL)
        return Estimate(n=1, mean=values[0], low=low, high=high, exact=True)
    return estimate(values, floor=0.0, ceiling=100.0)


def deviation(values: Sequence[float]) -> float:
    """As `statistics.stdev`, without its exact fractions: they took most of the time of a verdict."""
    mean = fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def t_quantile(df: float, level: float) -> float:
    """Half-width, in standard errors, of the two-sided interval."""
    return float(special.stdtrit(df, (1 + level) / 2))


class Difference(Protocol):
    """Second mean minus first, with what is known of its uncertainty."""

    @property
    def value(self) -> float: ...

    def interval(self, level: float) -> tuple[float, float]:
        """Two-sided confidence interval."""
        ...

    def p_above(self, threshold: float) -> float:
        """One-sided p value against "the true difference is at most `threshold`"."""
        ...

    def p_below(self, threshold: float) -> float:
        """One-sided p value against "the true difference is at least `threshold`"."""
        ...


@dataclass(frozen=True, kw_only=True)
class WelchDifference:
    """Welch's: two means whose variances need not be equal (Welch 1947; degrees of freedom after Satterthwaite)."""

    value: float
    standard_error: float
    df: float

    def interval(self, level: float) -> tuple[float, float]:
        half = t_quantile(self.df, level) * self.standard_error
        return self.value - half, self.value + half

    def p_above(self, threshold: float) -> float:
        return float(special.stdtr(self.df, (threshold - self.value) / self.standard_error))

    def p_below(self, threshold: float) -> float:
        return float(special.stdtr(self.df, (self.value - threshold) / self.standard_error))


@dataclass(frozen=True, kw_only=True)
class Term:
    """One mean in a weighted sum of means: a sample, or what a paper prints of one."""

    weight: float
    mean: float
    sd: float
    n: int

    def interval(self, level: float) -> tuple[float, float]:
        """Confidence interval of the mean: Student's, or that of seeds which all agree, for an error in percent."""
        if not self.sd:
            unseen = unseen_share(self.n, (1 + level) / 2)
            return self.mean - unseen * self.mean, self.mean + unseen * (100 - self.mean)
        half = t_quantile(self.n - 1, level) * self.sd / math.sqrt(self.n)
        return max(0.0, self.mean - half), min(100.0, self.mean + half)


def unseen_share(n: int, level: float = LEVEL) -> float:
    """The largest share of seeds, at a one-sided level, that may differ from what n seeds all showed.

    The exact binomial bound for none of n: 0.53 for four seeds at 95 %.
    """
    return float(1 - (1 - level) ** (1 / n))


def welch(first: Sequence[float], second: Sequence[float]) -> WelchDifference | None:
    """Second mean minus first; None below two values a side, or where neither side varies."""
    if min(len(first), len(second)) < 2 or not (varies(first) or varies(second)):
        return None
    return satterthwaite([sample(-1, first), sample(1, second)])


def sample(weight: float, values: Sequence[float]) -> Term:
    """A term from two values or more. Its `sd` is 0 where they differ by no more than rounding."""
    sd = deviation(values) if varies(values) else 0.0
    return Term(weight=weight, mean=fmean(values), sd=sd, n=len(values))


def satterthwaite(terms: Sequence[Term]) -> WelchDifference:
    """A weighted sum of independent means: Welch's for two, and Satterthwaite's degrees of freedom for any number.

    At least one of the terms must vary.
    """
    variances = [(term.weight * term.sd) ** 2 / term.n for term in terms]
    total = sum(variances)
    return WelchDifference(
        value=sum(term.weight * term.mean for term in terms),
        standard_error=math.sqrt(total),
        df=total**2 / sum(variance**2 / (term.n - 1) for variance, term in zip(variances, terms, strict=True)),
    )


def difference_of_means(terms: Sequence[Term]) -> WelchDifference | UnseenSeedsDifference:
    """A weighted sum of mean errors in percent: by Welch where all samples vary, else with a bound for unseen seeds."""
    if all(term.sd for term in terms):
        return careful(terms)
    return UnseenSeedsDifference(terms=tuple(terms))


def careful(terms: Sequence[Term]) -> WelchDifference:
    """As `satterthwaite`, but with the degrees of freedom of the smallest sample where samples differ in size.

    Two seeds beside ten, or beside five published runs, would borrow degrees of freedom that the two do not have: with
    normal errors equal means were told apart in 11 % of sweeps of 10 and 2 seeds. Terms without spread do not count.
    """
    difference = satterthwaite(terms)
    sizes = {term.n for term in terms if term.sd}
    return difference if len(sizes) == 1 else replace(difference, df=min(sizes) - 1)


def varies(values: Sequence[float]) -> bool:
    """Whether the values differ by more than rounding."""
    return max(values) - min(values) > 1e-9 * max(1.0, abs(max(values)))


@dataclass(frozen=True, kw_only=True)
class UnseenSeedsDifference:
    """A weighted sum of mean errors in percent, where the seeds of at least one sample all gave the same error.

    Such a sample has no spread to reckon with. Its mean gets the interval that holds whatever the seeds are that nobody
    saw: a share of them, bounded by `unseen_share`, may lie anywhere between 0 and 100 %. The intervals of all means
    are joined by the method of variance estimates recovery (Zou and Donner 2008).
    """

    terms: tuple[Term, ...]

    @cached_property
    def value(self) -> float:
        return math.fsum(term.weight * term.mean for term in self.terms)

    def interval(self, level: float) -> tuple[float, float]:
        below = above = 0.0
        for term in self.terms:
            ends = [term.weight * (end - term.mean) for end in term.interval(level)]
            below += min(ends) ** 2
            above += max(ends) ** 2
        return self.value - math.sqrt(below), self.value + math.sqrt(above)

    def p_above(self, threshold: float) -> float:
        if self.value <= threshold:
            return 1 - self.p_below(threshold) if self.value < threshold else 0.5
        return _smallest_alpha(lambda alpha: self.interval(1 - 2 * alpha)[0] > threshold)

    def p_below(self, threshold: float) -> float:
        if self.value >= threshold:
            return 1 - self.p_above(threshold) if self.value > threshold else 0.5
        return _smallest_alpha(lambda alpha: self.interval(1 - 2 * alpha)[1] < threshold)


def _smallest_alpha(excludes: Callable[[float], bool]) -> float:
    """The one-sided level at which an interval begins to exclude a threshold: its p value, by bisection."""
    low, high = 0.0, 0.5
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if excludes(middle) else (middle, high)
    return high


def clopper_pearson_pct(wrong: int, images: int, level: float) -> tuple[float, float]:
    """Exact binomial interval of a rate, in percent."""
    tail = (1 - level) / 2
    low = float(special.betaincinv(wrong, images - wrong + 1, tail)) if wrong > 0 else 0.0
    high = float(special.betaincinv(wrong + 1, images - wrong, 1 - tail)) if wrong < images else 1.0
    return 100 * low, 100 * high


@dataclass(frozen=True, kw_only=True)
class EverySeed:
    """The worst seed against a threshold, each seed an exact count of images. It speaks of these networks alone.

    For "every seed is above" the worst is the lowest, and the largest of the seeds' exact binomial p values speaks for
    all (an intersection-union test); the smallest, times their number (Bonferroni), says that one is below.
    """

    wrong: tuple[int, ...]
    images: int
    threshold_pct: float
    above: bool
    """Whether every seed should be above the threshold, or below it."""

    @property
    def worst(self) -> int:
        """Wrong images of the seed that decides."""
        return min(self.wrong) if self.above else max(self.wrong)

    @property
    def value(self) -> float:
        return 100 * self.worst / self.images - self.threshold_pct

    def interval(self, level: float) -> tuple[float, float]:
        low, high = clopper_pearson_pct(self.worst, self.images, level)
        return low - self.threshold_pct, high - self.threshold_pct

    def p_above(self, threshold: float) -> float:
        """Small if every seed is above (or, of `below`, if one is)."""
        rate = (self.threshold_pct + threshold) / 100
        found = [float(special.bdtrc(wrong - 1, self.images, rate)) if wrong else 1.0 for wrong in self.wrong]
        return max(found) if self.above else min(1.0, len(found) * min(found))

    def p_below(self, threshold: float) -> float:
        """Small if every seed is below (or, of `above`, if one is)."""
        rate = (self.threshold_pct + threshold) / 100
        found = [float(special.bdtr(wrong, self.images, rate)) for wrong in self.wrong]
        return min(1.0, len(found) * min(found)) if self.above else max(found)


@dataclass(frozen=True, kw_only=True)
class ExactDifference:
    """Of two counts that have no uncertainty."""

    value: float

    def interval(self, level: float) -> tuple[float, float]:  # noqa: ARG002 - any level gives the same
        return self.value, self.value

    def p_above(self, threshold: float) -> float:
        return 0.0 if self.value > threshold else 1.0

    def p_below(self, threshold: float) -> float:
        return 0.0 if self.value < threshold else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values in the order given (Holm 1979): below alpha exactly where the step-down procedure rejects."""
    count, largest = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
