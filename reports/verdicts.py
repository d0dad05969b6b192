"""What a sweep says of each claim.

1. A contrast turns the sweep's cells into comparisons, such as "A: depth 44 against depth 8". What is compared is the
   mean over seeds. A diverged trial counts with the error that it ended with; a failed one is no result and does not
   count. A diverged trial without an error could be any: where there is one, nothing is tested.
2. The difference gets Welch's interval. Where no seed differs from another on either side, Welch's has no width, and
   exact counts of images take its place (`statistics.CountDifference`). With one seed on a side there is no verdict:
   one seed says nothing about the next.
3. Each comparison has two one-sided p values: for the claim and against it. A claim holds if every comparison does, so
   the largest p value speaks for it (an intersection-union test); it falls if one comparison falls, so the smallest
   one, times the number of comparisons (Bonferroni), speaks against it.
4. Twice the smaller of those two is the claim's p value. Holm's procedure adjusts the p values of one report's claims.
   Below alpha, the verdict is supported or contradicted; else it is inconclusive, with the number of seeds that would
   decide it. Intervals are shown as they are, at 95 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from statistics import fmean
from typing import TYPE_CHECKING

from harness.schema import Outcome
from reports.cells import IMAGES, Cell, Series, cells_of, series_of
from reports.claims import CLAIMS, CONTRASTS, KINDS, Claim, Pair
from reports.statistics import (
    LEVEL,
    CountDifference,
    Difference,
    Estimate,
    holm,
    required_seeds,
    varies,
    welch,
)
from reports.summaries import error_of

if TYPE_CHECKING:
    from harness.tracking.results import SweepResults


class Ruling(StrEnum):
    """What the data says of a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One cell's part in a comparison."""

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
    first: Side
    second: Side
    effect: float | None = None
    low: float | None = None
    high: float | None = None
    method: str = ""
    """`Welch` or `exact counts`; empty where nothing could be tested."""
    p_for: float | None = None
    p_against: float | None = None
    trend: tuple[Side, ...] = ()
    """Every cell from the first to the second, by depth."""
    seeds_needed: int | None = None
    note: str = ""
    """Why it could not be tested, or what a reader must know of it."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A claim and what this sweep says of it."""

    claim: Claim
    ruling: Ruling
    reason: str
    """Half a sentence behind the ruling."""
    comparisons: tuple[Comparison, ...] = ()
    p_value: float | None = None
    p_holm: float | None = None
    seeds_needed: int | None = None


def judge(results: SweepResults) -> tuple[Verdict, ...]:
    """The verdict on each claim that the sweep's workload names, or on all claims where it names none."""
    series = series_of(cells_of(results))
    names = results.plan.get("claims")
    claims = [CLAIMS[name] for name in (names or CLAIMS) if name in CLAIMS]
    return judge_claims(claims, series)


def judge_claims(claims: Sequence[Claim], series: Sequence[Series]) -> tuple[Verdict, ...]:
    """The verdicts, adjusted by Holm over those claims that could be tested."""
    measured = [_measure(claim, series, len(claims)) for claim in claims]
    tested = [(index, verdict.p_value) for index, verdict in enumerate(measured) if verdict.p_value is not None]
    adjusted = holm([p_value for _, p_value in tested])
    p_holm = {index: p_value for (index, _), p_value in zip(tested, adjusted, strict=True)}
    return tuple(_rule(verdict, p_holm.get(index)) for index, verdict in enumerate(measured))


def compare(pair: Pair, claim: Claim, *, alpha: float) -> Comparison:
    """The difference between two cells, tested as far as the data goes."""
    first, second = _side(pair.first, claim.metric), _side(pair.second, claim.metric)
    blank = Comparison(
        label=pair.label, first=first, second=second, trend=tuple(_side(cell, claim.metric) for cell in pair.path)
    )
    if not (first.values and second.values):
        return replace(blank, note=f"no result yet for {_without_result(first, second)}")
    blank = replace(blank, effect=fmean(second.values) - fmean(first.values))
    unknown = pair.first.unknown(claim.metric) + pair.second.unknown(claim.metric)
    if unknown:
        return replace(blank, note=f"{unknown} diverged without an error to count")
    difference, method = difference_between(pair.first, pair.second, claim.metric)
    if difference is None:
        return replace(blank, note=method)
    return _tested(blank, difference, method, claim, alpha)


def difference_between(first: Cell, second: Cell, metric: str) -> tuple[Difference | None, str]:
    """Second less first with its uncertainty, and the method; or None and the reason."""
    one, two = first.values(metric), second.values(metric)
    if min(len(one), len(two)) < 2:
        return None, "one seed says nothing about the next"
    if varies(one) or varies(two):
        return welch(one, two), "Welch"
    images_1, images_2 = first.constant(IMAGES[metric]), second.constant(IMAGES[metric])
    if not images_1 or not images_2:
        return None, "every seed gave the same value, and the number of images is not recorded"
    counts = CountDifference(
        wrong_1=round(one[0] * images_1 / 100),
        images_1=int(images_1),
        wrong_2=round(two[0] * images_2 / 100),
        images_2=int(images_2),
    )
    return counts, "exact counts"


def _tested(blank: Comparison, difference: Difference, method: str, claim: Claim, alpha: float) -> Comparison:
    low, high = difference.interval(LEVEL)
    kind = KINDS[claim.kind]
    return replace(
        blank,
        low=low,
        high=high,
        method=method,
        p_for=kind.p_for(difference, claim.margin),
        p_against=kind.p_against(difference, claim.margin),
        seeds_needed=required_seeds(
            difference.value - claim.margin,
            blank.first.estimate.sd or 0.0,
            blank.second.estimate.sd or 0.0,
            alpha=alpha,
        ),
    )


def _measure(claim: Claim, series: Sequence[Series], claims: int) -> Verdict:
    """The verdict before Holm: its comparisons and its own p value; the ruling stands for "not decided yet"."""
    pairs = CONTRASTS[claim.contrast](series)
    if not pairs:
        return Verdict(claim=claim, ruling=Ruling.NOT_RUN, reason=f"needs {claim.needs}")
    comparisons = tuple(compare(pair, claim, alpha=claim.alpha / claims) for pair in pairs)
    if all(comparison.effect is None for comparison in comparisons):
        return Verdict(claim=claim, ruling=Ruling.NOT_RUN, reason=comparisons[0].note, comparisons=comparisons)
    p_for, p_against = _p_values(comparisons)
    undecided = Verdict(claim=claim, ruling=Ruling.INCONCLUSIVE, reason="", comparisons=comparisons)
    p_value = min(p for p in (p_for, p_against, 1.0) if p is not None)
    return replace(undecided, p_value=min(1.0, 2 * p_value)) if (p_for, p_against) != (None, None) else undecided


def _p_values(comparisons: Sequence[Comparison]) -> tuple[float | None, float | None]:
    """For the claim and against it. Nothing speaks for a claim of which a part was not tested."""
    for_it = [comparison.p_for for comparison in comparisons if comparison.p_for is not None]
    against = [comparison.p_against for comparison in comparisons if comparison.p_against is not None]
    return (
        max(for_it) if len(for_it) == len(comparisons) else None,
        min(1.0, min(against) * len(comparisons)) if against else None,
    )


def _rule(verdict: Verdict, p_holm: float | None) -> Verdict:
    if verdict.ruling is Ruling.NOT_RUN:
        return verdict
    verdict = replace(verdict, p_holm=p_holm)
    p_for, p_against = _p_values(verdict.comparisons)
    if p_holm is not None and p_holm < verdict.claim.alpha:
        holds = p_for is not None and (p_against is None or p_for < p_against)
        return replace(verdict, ruling=Ruling.SUPPORTED if holds else Ruling.CONTRADICTED, reason="")
    return _inconclusive(verdict)


def _inconclusive(verdict: Verdict) -> Verdict:
    untested: dict[str, list[str]] = {}
    for comparison in verdict.comparisons:
        if not comparison.method:
            untested.setdefault(comparison.note, []).append(comparison.label)
    if untested:
        one = len(verdict.comparisons) == 1
        notes = [note if one else f"{', '.join(names)}: {note}" for note, names in untested.items()]
        return replace(verdict, reason="; ".join(notes))
    needed = [comparison.seeds_needed for comparison in _open_comparisons(verdict)]
    known = [seeds for seeds in needed if seeds is not None]
    if not known or len(known) < len(needed):
        return replace(verdict, reason="more seeds like these would not decide it")
    return replace(verdict, reason=f"about {max(known)} seeds a cell would decide it", seeds_needed=max(known))


def _open_comparisons(verdict: Verdict) -> list[Comparison]:
    """Those that hold the claim up: not yet clear on their own."""
    alpha = verdict.claim.alpha / 2
    unclear = [comparison for comparison in verdict.comparisons if (comparison.p_for or 0.0) >= alpha]
    return unclear or list(verdict.comparisons)


def _side(cell: Cell, metric: str) -> Side:
    values = cell.values(metric)
    return Side(
        label=cell.label,
        depth=cell.depth,
        values=values,
        estimate=error_of(cell, metric),
        planned=len(cell.trials),
        diverged=sum(trial.outcome == Outcome.DIVERGED for trial in cell.results),
    )


def _without_result(*sides: Side) -> str:
    return " and ".join(side.label for side in sides if not side.values)
