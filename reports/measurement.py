"""One comparison of a claim, measured and tested as far as the data goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from harness.schema import Outcome
from reports.cells import IMAGES, Cell
from reports.claim import ClaimTest, Figure
from reports.contrasts import Pair
from reports.kinds import KINDS, Basis
from reports.power import Spreads, required_seeds
from reports.statistics import (
    LEVEL,
    CountDifference,
    Difference,
    Estimate,
    EverySeed,
    ExactDifference,
    Term,
    combination,
    estimate,
    sample,
    varies,
    welch,
)
from reports.summaries import error_of

ONE_SEED = "one seed says nothing about the next"
NO_IMAGES = "the number of images is not recorded"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One cell's part in a comparison, or a figure's that it is held against."""

    label: str
    depth: int | None
    values: tuple[float, ...]
    """The metric of each seed that has a result."""
    estimate: Estimate
    planned: int
    """Seeds in the sweep's list."""
    diverged: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One pair, measured."""

    label: str
    test: ClaimTest
    first: Side
    second: Side
    less: tuple[Side, ...] = ()
    """Another pair, first and second, whose difference is taken from this one's."""
    unit: str = "points"
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    """`Welch`, `exact counts`, ...; empty where nothing could be tested."""
    p_for: float | None = None
    p_against: float | None = None
    trend: tuple[Side, ...] = ()
    """Every cell from the first to the second, by depth, where the comparison is one along depth."""
    seeds_needed: int | None = None
    note: str = ""
    """Why it could not be tested, or what a reader must know of it."""

    @property
    def exact(self) -> bool:
        """Whether counts decide it, which know no chance."""
        return KINDS[self.test.kind].basis is Basis.COUNTS


def compare(pair: Pair, test: ClaimTest, *, alpha: float) -> Comparison:
    """The difference between two cells, tested as far as the data goes."""
    blank = Comparison(
        label=pair.label,
        test=test,
        first=_first(pair, test),
        second=_side(pair.second, test.metric),
        less=tuple(_side(cell, test.metric) for cell in pair.less or ()),
        trend=tuple(_side(cell, test.metric) for cell in pair.path),
    )
    if KINDS[test.kind].basis is Basis.COUNTS:
        return _counted(blank, pair, test)
    sides = (*blank.less, *([blank.first] if pair.first else []), blank.second)
    if lacking := [side.label for side in sides if not side.values]:
        return replace(blank, note=f"no result yet for {' and '.join(lacking)}")
    if unknown := sum(cell.unknown(test.metric) for cell in pair.cells):
        return replace(blank, effect=_effect(blank), note=f"{unknown} diverged without an error to count")
    difference, method = MEASURES[KINDS[test.kind].basis](pair, test)
    if difference is None:
        return replace(blank, effect=_effect(blank), note=method)
    return _tested(blank, difference, method, alpha)


def difference_between(first: Cell, second: Cell, metric: str) -> tuple[Difference | None, str]:
    """Second less first with its uncertainty, and the method; or None and the reason."""
    one, two = first.values(metric), second.values(metric)
    if min(len(one), len(two)) < 2:
        return None, ONE_SEED
    if varies(one) or varies(two):
        return welch(one, two), "Welch"
    images_1, images_2 = first.constant(IMAGES[metric]), second.constant(IMAGES[metric])
    if not images_1 or not images_2:
        return None, f"every seed gave the same value, and {NO_IMAGES}"
    counts = CountDifference(
        wrong_1=_wrong(one[0], images_1),
        images_1=int(images_1),
        wrong_2=_wrong(two[0], images_2),
        images_2=int(images_2),
    )
    return counts, "exact counts"


def _between_seeds(pair: Pair, test: ClaimTest) -> tuple[Difference | None, str]:
    assert pair.first is not None
    if pair.less is None:
        return difference_between(pair.first, pair.second, test.metric)
    samples = [cell.values(test.metric) for cell in (*pair.less, pair.first, pair.second)]
    if min(map(len, samples)) < 2:
        return None, ONE_SEED
    if not any(map(varies, samples)):
        return None, "every seed gave the same value"
    weights = (1, -1, -1, 1)
    return combination([sample(*one) for one in zip(weights, samples, strict=True)]), "Welch of four means"


def _from_published(pair: Pair, test: ClaimTest) -> tuple[Difference | None, str]:
    figure, values = _figure(test), pair.second.values(test.metric)
    if len(values) < 2:
        return None, ONE_SEED
    assert figure.sd is not None
    published = Term(weight=-1, mean=figure.value, sd=figure.sd, n=figure.runs)
    return combination([published, sample(1, values)]), "Welch, with the published spread"


def _each_seed(pair: Pair, test: ClaimTest) -> tuple[Difference | None, str]:
    images = pair.second.constant(IMAGES[test.metric])
    if not images:
        return None, NO_IMAGES
    wrong = tuple(_wrong(value, images) for value in pair.second.values(test.metric))
    threshold, above = _figure(test).value, KINDS[test.kind].above
    return EverySeed(wrong=wrong, images=int(images), threshold_pct=threshold, above=above), "binomial, every seed"


MEASURES: dict[Basis, Callable[[Pair, ClaimTest], tuple[Difference | None, str]]] = {
    Basis.SEEDS: _between_seeds,
    Basis.PUBLISHED: _from_published,
    Basis.EACH_SEED: _each_seed,
}


def _counted(blank: Comparison, pair: Pair, test: ClaimTest) -> Comparison:
    """Percent by which the second costs more than the first, or than the published figure, in thousand millions."""
    base = _figure(test).value * 1e9 if pair.first is None else pair.first.macs
    if not base or not pair.second.macs:
        return replace(blank, unit="%", note="the multiply-accumulates are not recorded")
    return _tested(
        replace(blank, unit="%"), ExactDifference(value=100 * (pair.second.macs / base - 1)), "exact counts", alpha=0.05
    )


def _tested(blank: Comparison, difference: Difference, method: str, alpha: float) -> Comparison:
    kind, margin = KINDS[blank.test.kind], blank.test.margin
    low, high = difference.interval(LEVEL)
    return replace(
        blank,
        effect=difference.value,
        low=low,
        high=high,
        method=method,
        p_for=kind.p_for(difference, margin),
        p_against=kind.p_against(difference, margin),
        seeds_needed=_seeds_needed(blank, kind.distances(difference.value, margin), alpha),
    )


def _seeds_needed(blank: Comparison, distances: tuple[float, ...], alpha: float) -> int | None:
    """For a verdict where the difference lies as it was seen: for the claim, or against it where a bound is crossed."""
    basis = KINDS[blank.test.kind].basis
    if basis not in (Basis.SEEDS, Basis.PUBLISHED):
        return None
    sides = (*blank.less, blank.second) if basis is Basis.PUBLISHED else (*blank.less, blank.first, blank.second)
    reference = blank.test.reference if basis is Basis.PUBLISHED else None
    spreads = Spreads(
        sds=tuple(side.estimate.sd or 0.0 for side in sides),
        published_sd=(reference.sd or 0.0) if reference else 0.0,
        published_runs=reference.runs if reference else 2,
    )
    asked = distances if min(distances) > 0 else (min(distances),)
    return required_seeds(asked, spreads, alpha=alpha)


def _effect(comparison: Comparison) -> float | None:
    """The difference of the means, tested or not."""
    means = [side.estimate.mean for side in (*comparison.less, comparison.first, comparison.second)]
    if any(mean is None for mean in means):
        return None
    values = [mean for mean in means if mean is not None]
    gain = values[-1] - values[-2]
    return gain - (values[1] - values[0]) if comparison.less else gain


def _first(pair: Pair, test: ClaimTest) -> Side:
    if pair.first is not None:
        return _side(pair.first, test.metric)
    figure = _figure(test)
    known = Estimate(n=0, mean=figure.value, sd=figure.sd)
    return Side(label=f"published {figure.printed}", depth=None, values=(), estimate=known, planned=0, diverged=0)


def _side(cell: Cell, metric: str) -> Side:
    values = cell.values(metric)
    return Side(
        label=cell.label,
        depth=cell.depth,
        values=values,
        estimate=error_of(cell, metric) if metric in IMAGES else _count(cell),
        planned=len(cell.trials),
        diverged=sum(trial.outcome == Outcome.DIVERGED for trial in cell.results),
    )


def _count(cell: Cell) -> Estimate:
    return estimate([] if cell.macs is None else [cell.macs])


def _figure(test: ClaimTest) -> Figure:
    assert test.reference is not None, "a test against a published figure names it"
    return test.reference


def _wrong(error_pct: float, images: float) -> int:
    return round(error_pct * images / 100)
