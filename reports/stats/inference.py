"""Intervals, tests and sample sizes. Pure functions of numbers; they load only `scipy.special`.

A sample holds one value for each seed of a cell. Errors are percentages, differences are percentage points.
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
    """The mean of a sample with Student's t interval. Unknown values are None."""

    n: int
    mean: float | None = None
    sd: float | None = None
    """Sample standard deviation; None for fewer than two values."""
    low: float | None = None
    high: float | None = None
    exact: bool = False
    """Whether the interval is the exact binomial one of a single network's count of images; True for one seed only."""

    @property
    def alike(self) -> bool:
        """Whether several seeds all gave the same value, so that their spread is unknown and there is no interval."""
        return self.n > 1 and self.low is None


def estimate(values: Sequence[float], *, floor: float = -math.inf, ceiling: float = math.inf) -> Estimate:
    """Return the mean and its 95 % t interval, cut at the quantity's limits: an error below 0 % does not exist.

    Equal values have no interval, because they do not show how much further values would differ.
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
    """Estimate a mean error in percent; one seed gets the exact binomial interval of its count of images."""
    if images and len(values) == 1:
        low, high = clopper_pearson_pct(round(values[0] * images / 100), images, LEVEL)
        return Estimate(n=1, mean=values[0], low=low, high=high, exact=True)
    return estimate(values, floor=0.0, ceiling=100.0)


def deviation(values: Sequence[float]) -> float:
    """Return the standard deviation, as `statistics.stdev` but without its slow exact fractions.

    Those took most of the time of a verdict.
    """
    mean = fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def t_quantile(df: float, level: float) -> float:
    """Return the half-width, in standard errors, of the two-sided interval."""
    return float(special.stdtrit(df, (1 + level) / 2))


class Difference(Protocol):
    """The second mean minus the first, with its known uncertainty."""

    @property
    def value(self) -> float: ...

    def interval(self, level: float) -> tuple[float, float]:
        """Return the two-sided confidence interval."""
        ...

    def p_above(self, threshold: float) -> float:
        """Return the one-sided p value against "the true difference is at most `threshold`"."""
        ...

    def p_below(self, threshold: float) -> float:
        """Return the one-sided p value against "the true difference is at least `threshold`"."""
        ...


@dataclass(frozen=True, kw_only=True)
class WelchDifference:
    """Welch's difference of two means with unequal variances (Welch 1947; degrees of freedom after Satterthwaite)."""

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
    """One mean in a weighted sum of means: of a sample, or as a paper prints it."""

    weight: float
    mean: float
    sd: float
    n: int

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval of a mean error in percent: Student's, or the bound for seeds that all agree."""
        if not self.sd:
            unseen = unseen_share(self.n, (1 + level) / 2)
            return self.mean - unseen * self.mean, self.mean + unseen * (100 - self.mean)
        half = t_quantile(self.n - 1, level) * self.sd / math.sqrt(self.n)
        return max(0.0, self.mean - half), min(100.0, self.mean + half)


def unseen_share(n: int, level: float = LEVEL) -> float:
    """Return the largest share of seeds, at a one-sided level, that may differ if n seeds all agree.

    This is the exact binomial bound for none of n: 0.53 for four seeds at 95 %.
    """
    return float(1 - (1 - level) ** (1 / n))


def welch(first: Sequence[float], second: Sequence[float]) -> WelchDifference | None:
    """Return the second mean minus the first; None below two values a side, or if neither side varies."""
    if min(len(first), len(second)) < 2 or not (varies(first) or varies(second)):
        return None
    return satterthwaite([sample(-1, first), sample(1, second)])


def sample(weight: float, values: Sequence[float]) -> Term:
    """Return the term of two or more values. Its `sd` is 0 if they differ by no more than rounding."""
    sd = deviation(values) if varies(values) else 0.0
    return Term(weight=weight, mean=fmean(values), sd=sd, n=len(values))


def satterthwaite(terms: Sequence[Term]) -> WelchDifference:
    """Return a weighted sum of independent means: Welch's for two, with Satterthwaite's degrees of freedom for more.

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
    """Return a weighted sum of mean errors in percent: Welch's, or with a bound for unseen seeds.

    It is Welch's if all samples vary.
    """
    if all(term.sd for term in terms):
        return conservative_welch(terms)
    return UnseenSeedsDifference(terms=tuple(terms))


def conservative_welch(terms: Sequence[Term]) -> WelchDifference:
    """Return the sum as `satterthwaite` does, but with the degrees of freedom of the smallest sample if sizes differ.

    Otherwise two seeds beside ten, or beside five published runs, would get degrees of freedom that two seeds do not
    have: with normal errors, equal means were reported as different in 11 % of sweeps of 10 and 2 seeds. Terms without
    spread do not count.
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

    Such a sample has no spread to compute with. Its mean gets an interval that holds for any unseen seeds: a share of
    them, bounded by `unseen_share`, may lie anywhere between 0 and 100 %. The intervals of all means are joined by the
    method of variance estimates recovery (Zou and Donner 2008).
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
    """Return, by bisection, the one-sided level at which an interval begins to exclude a threshold: its p value."""
    low, high = 0.0, 0.5
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if excludes(middle) else (middle, high)
    return high


def clopper_pearson_pct(wrong: int, images: int, level: float) -> tuple[float, float]:
    """Return the exact binomial interval of a rate, in percent."""
    tail = (1 - level) / 2
    low = float(special.betaincinv(wrong, images - wrong + 1, tail)) if wrong > 0 else 0.0
    high = float(special.betaincinv(wrong + 1, images - wrong, 1 - tail)) if wrong < images else 1.0
    return 100 * low, 100 * high


@dataclass(frozen=True, kw_only=True)
class EverySeed:
    """The worst seed against a threshold; each seed is an exact count of images. The result concerns only these
    networks.

    For "every seed is above" the worst seed is the lowest. The p value for all seeds is the largest of their exact
    binomial p values (an intersection-union test). The p value for "one is below" is the smallest one, times their
    number (Bonferroni).
    """

    wrong: tuple[int, ...]
    images: int
    threshold_pct: float
    above: bool
    """True if every seed should be above the threshold, False if below it."""

    @property
    def worst(self) -> int:
        """Count of wrong images of the seed that decides."""
        return min(self.wrong) if self.above else max(self.wrong)

    @property
    def value(self) -> float:
        return 100 * self.worst / self.images - self.threshold_pct

    def interval(self, level: float) -> tuple[float, float]:
        low, high = clopper_pearson_pct(self.worst, self.images, level)
        return low - self.threshold_pct, high - self.threshold_pct

    def p_above(self, threshold: float) -> float:
        """Return a p value that is small if every seed is above (or, if `above` is False, if one is)."""
        rate = (self.threshold_pct + threshold) / 100
        found = [float(special.bdtrc(wrong - 1, self.images, rate)) if wrong else 1.0 for wrong in self.wrong]
        return max(found) if self.above else min(1.0, len(found) * min(found))

    def p_below(self, threshold: float) -> float:
        """Return a p value that is small if every seed is below (or, if `above` is True, if one is)."""
        rate = (self.threshold_pct + threshold) / 100
        found = [float(special.bdtr(wrong, self.images, rate)) for wrong in self.wrong]
        return min(1.0, len(found) * min(found)) if self.above else max(found)


@dataclass(frozen=True, kw_only=True)
class ExactDifference:
    """The difference of two counts that have no uncertainty."""

    value: float

    def interval(self, level: float) -> tuple[float, float]:  # noqa: ARG002 - any level gives the same
        return self.value, self.value

    def p_above(self, threshold: float) -> float:
        return 0.0 if self.value > threshold else 1.0

    def p_below(self, threshold: float) -> float:
        return 0.0 if self.value < threshold else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values, in the given order (Holm 1979): below alpha exactly where the step-down procedure rejects."""
    count, largest = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted
