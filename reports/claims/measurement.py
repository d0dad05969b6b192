"""One comparison of a claim, measured, and tested if the data allows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.schema import Outcome
from reports.claims.claim import ClaimTest, Figure
from reports.claims.contrasts import Pair
from reports.claims.kinds import KINDS, Basis
from reports.stats.cells import IMAGES, Cell
from reports.stats.inference import (
    LEVEL,
    Difference,
    Estimate,
    EverySeed,
    ExactDifference,
    Term,
    UnseenSeedsDifference,
    conservative_welch,
    difference_of_means,
    estimate,
    sample,
)
from reports.stats.power import Spreads, first_enough, required_seeds
from reports.stats.summaries import error_of

ONE_SEED = "one seed says nothing about the next"
NO_IMAGES = "the number of images is not recorded"
UNSEEN = "bound for unseen seeds"
"""The method if all seeds of a side agree."""
MOST_SEEDS = 1000
"""The largest number of seeds that is tried when looking for a verdict."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One side of a comparison: a cell or a published figure."""

    label: str
    depth: int | None
    values: tuple[float, ...]
    """The metric's value for each seed that has a result."""
    estimate: Estimate
    planned: int
    """Number of seeds in the sweep's list."""
    diverged: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The measured difference of one pair."""

    label: str
    test: ClaimTest
    first: Side
    second: Side
    less: tuple[Side, ...] = ()
    """Another pair, first and second, whose difference is subtracted from this one's."""
    unit: str = "points"
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    """`Welch`, `bound for unseen seeds`, ...; empty if nothing could be tested."""
    p_for: float | None = None
    p_against: float | None = None
    trend: tuple[Side, ...] = ()
    """Every cell from the first to the second, by depth, if the comparison runs along depth; empty otherwise."""
    clear: bool = False
    """Whether it supports the claim on its own, at the level that the claims of the report share."""
    p_known: float | None = None
    """The p value for the claim if the means of seeds that all agree were known for certain; otherwise equal to
    `p_for`."""
    unanimous: bool | None = None
    """True if every combination of one seed per side agrees with the claim, False if every one disagrees, else None."""
    seeds_needed: int | None = None
    note: str = ""
    """The reason why it could not be tested, or a remark for the reader."""

    @property
    def sides(self) -> tuple[Side, ...]:
        """All sides, in the order in which their sizes are shown."""
        return (*self.less, self.first, self.second)

    @property
    def alike(self) -> tuple[Side, ...]:
        """Sides whose seeds all gave the same value, if the bound for unseen seeds is the method."""
        return tuple(side for side in self.sides if side.estimate.alike) if self.method == UNSEEN else ()

    @property
    def exact(self) -> bool:
        """Whether exact counts decide the comparison, without chance."""
        return KINDS[self.test.kind].basis is Basis.COUNTS


def compare(pair: Pair, test: ClaimTest, *, alpha: float, look_ahead: bool = True) -> Comparison:
    """Measure the difference between two cells, and test it if the data allows it.

    Args:
        pair: the cells to compare.
        test: the condition that the difference must meet.
        alpha: two-sided level, after Holm's first step.
        look_ahead: also compute how many seeds would decide it.
    """
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
        return replace(
            blank,
            effect=_effect(blank),
            note=f"{unknown} {'result' if unknown == 1 else 'results'} without an error to count",
        )
    difference, method = MEASURES[KINDS[test.kind].basis](pair, test)
    if difference is None:
        return replace(blank, effect=_effect(blank), note=method)
    tested = _tested(blank, difference, method)
    tested = replace(tested, clear=tested.p_for is not None and tested.p_for < alpha / 2)
    if KINDS[test.kind].basis is not Basis.EACH_SEED:
        unanimous = _unanimous([KINDS[test.kind].distances(value, test.margin) for value in _extremes(blank)])
        tested = replace(tested, unanimous=unanimous)
        tested = replace(tested, p_known=_p_known(tested, difference))
    return replace(tested, seeds_needed=_seeds_needed(blank, difference, alpha)) if look_ahead else tested


def _between_seeds(pair: Pair, test: ClaimTest) -> tuple[Difference | None, str]:
    samples = [cell.values(test.metric) for cell in pair.cells]
    if min(map(len, samples)) < 2:
        return None, ONE_SEED
    weights = (1, -1, -1, 1)[-len(samples) :]
    method = "Welch" if pair.less is None else "Welch of four means"
    return _of_terms([sample(weight, values) for weight, values in zip(weights, samples, strict=True)], method)


def _from_published(pair: Pair, test: ClaimTest) -> tuple[Difference | None, str]:
    figure, values = _figure(test), pair.second.values(test.metric)
    if len(values) < 2:
        return None, ONE_SEED
    assert figure.sd is not None
    published = Term(weight=-1, mean=figure.value, sd=figure.sd, n=figure.runs)
    return _of_terms([published, sample(1, values)], "Welch, with the published spread")


def _of_terms(terms: Sequence[Term], method: str) -> tuple[Difference, str]:
    difference = difference_of_means(terms)
    return difference, UNSEEN if isinstance(difference, UnseenSeedsDifference) else method


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
    """Compute by how many percent the second costs more than the first, or than the published figure.

    The figure is in thousand millions.
    """
    base = _figure(test).value * 1e9 if pair.first is None else pair.first.macs
    if not base or not pair.second.macs:
        return replace(blank, unit="%", note="the multiply-accumulates are not recorded")
    return _tested(replace(blank, unit="%"), ExactDifference(value=100 * (pair.second.macs / base - 1)), "exact counts")


def _tested(blank: Comparison, difference: Difference, method: str) -> Comparison:
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
    )


def _unanimous(ends: Sequence[Sequence[float]]) -> bool | None:
    """Return True if both extremes lie inside all bounds, False if both lie outside the same bound, else None.

    Each entry of `ends` holds the distances of one extreme to the bounds.
    """
    low, high = ends
    if min(*low, *high) > 0:
        return True
    return False if any(max(both) < 0 for both in zip(low, high, strict=True)) else None


def _p_known(tested: Comparison, difference: Difference) -> float | None:
    if not isinstance(difference, UnseenSeedsDifference):
        return tested.p_for
    if not any(term.sd for term in difference.terms):
        return 0.0 if tested.unanimous else 1.0
    return KINDS[tested.test.kind].p_for(conservative_welch(difference.terms), tested.test.margin)


def _extremes(comparison: Comparison) -> tuple[float, float]:
    """Return the smallest and the largest difference that one seed of each side would give."""
    low = high = 0.0
    for weight, side in zip((1, -1, -1, 1)[-len(comparison.sides) :], comparison.sides, strict=True):
        known = () if side.estimate.mean is None else (side.estimate.mean,)
        ends = [weight * value for value in side.values or known]
        low, high = low + min(ends), high + max(ends)
    return low, high


def _seeds_needed(blank: Comparison, difference: Difference, alpha: float) -> int | None:
    """Return the seeds per cell that give a verdict for or against the claim, if further seeds are like these."""
    kind = KINDS[blank.test.kind]
    if isinstance(difference, UnseenSeedsDifference):
        return _seeds_like_these(difference, blank.test, alpha)
    if kind.basis not in (Basis.SEEDS, Basis.PUBLISHED):
        return None
    reference = blank.test.reference if kind.basis is Basis.PUBLISHED else None
    spreads = Spreads(
        sds=tuple(side.estimate.sd or 0.0 for side in blank.sides if side.planned),
        published_sd=(reference.sd or 0.0) if reference else 0.0,
        published_runs=reference.runs if reference else 2,
    )
    distances = kind.distances(difference.value, blank.test.margin)
    undecided = distances if min(distances) > 0 else (min(distances),)
    return required_seeds(undecided, spreads, alpha=alpha)


def _seeds_like_these(difference: UnseenSeedsDifference, test: ClaimTest, alpha: float) -> int | None:
    """Return the number of seeds at which the bound for unseen seeds decides, if means and spreads stay."""
    kind = KINDS[test.kind]
    published = kind.basis is Basis.PUBLISHED

    def decides(n: int) -> bool:
        terms = [
            term if published and index == 0 else replace(term, n=n) for index, term in enumerate(difference.terms)
        ]
        more = UnseenSeedsDifference(terms=tuple(terms))
        return min(kind.p_for(more, test.margin), kind.p_against(more, test.margin)) < alpha / 2

    return first_enough(decides, most=MOST_SEEDS)


def _effect(comparison: Comparison) -> float | None:
    """Return the difference of the means, even if it was not tested."""
    means = [side.estimate.mean for side in comparison.sides]
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
