"""The verdict of a sweep on each claim.

1. A contrast turns the sweep's cells into comparisons, such as "A: depth 44 against depth 8". They compare means over
   seeds. A diverged trial counts with its last error; a failed trial has no result and does not count. A diverged trial
   without an error could have any error, so nothing is tested if there is one.
2. The difference gets Welch's interval, also the difference from a published mean with its spread. If all seeds of a
   side gave the same error, their spread is unknown, and the interval allows for seeds that did not run
   (`inference.UnseenSeedsDifference`). With one seed on a side there is no verdict, because one seed says nothing about
   the next. If a claim is about every seed, each seed gets the exact binomial test of its images. Costs are counts:
   their results are certain and take no part in step 4.
3. Each comparison has two one-sided p values: for the claim and against it. A claim holds if every comparison does, so
   the p value for it is the largest one (an intersection-union test). It fails if one comparison fails, so the p value
   against it is the smallest one, times the number of comparisons (Bonferroni).
4. The claim's p value is twice the smaller of those two. Holm's procedure adjusts the p values of one report's claims.
   Below alpha, the verdict is supported or contradicted. Above alpha, the verdict is "held so far" if every seed agrees
   with the claim and it is open only because seeds show no spread; otherwise it is inconclusive. Both state how many
   seeds would decide the claim. Intervals are not adjusted; they are at 95 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from reports import formatting
from reports.claims.claim import Claim, ClaimTest
from reports.claims.contrasts import CONTRASTS, Pair
from reports.claims.kinds import KINDS, Basis
from reports.claims.measurement import Comparison, Side, compare
from reports.claims.registry import CLAIMS
from reports.stats.cells import Cell
from reports.stats.inference import holm, unseen_share


class Ruling(StrEnum):
    """The possible verdicts on a claim."""

    SUPPORTED = "supported"
    CONTRADICTED = "contradicted"
    HELD = "held so far"
    """The seeds that ran agree with the claim, but say too little about other seeds: some show no spread, or the claim
    is about every seed."""
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A claim and this sweep's verdict on it."""

    claim: Claim
    ruling: Ruling
    reason: str
    """A short reason for the ruling."""
    comparisons: tuple[Comparison, ...] = ()
    p_value: float | None = None
    p_holm: float | None = None
    seeds_needed: int | None = None


def claims_for(cells: Sequence[Cell], names: Sequence[str]) -> list[Claim]:
    """Return the named claims that this version knows; without names, those that have all the cells they need."""
    if names:
        return [CLAIMS[name] for name in names if name in CLAIMS]
    return [claim for claim in CLAIMS.values() if all(pairs_for(test, cells) for test in claim.tests)]


def pairs_for(test: ClaimTest, cells: Sequence[Cell]) -> list[Pair]:
    """Return the pairs that a test compares. Networks that were only timed have costs but no errors."""
    return CONTRASTS[test.contrast](_measured_by(test, cells))


def lacking(claim: Claim, cells: Sequence[Cell]) -> str:
    """Explain why these cells cannot decide a claim: differences of the nearest cells, or the cells that it needs."""
    unmet = [test for test in claim.tests if not pairs_for(test, cells)]
    obstacles = [CONTRASTS[test.contrast].obstacle(_measured_by(test, cells)) for test in unmet]
    return next(filter(None, obstacles), f"needs {claim.needs}")


def _measured_by(test: ClaimTest, cells: Sequence[Cell]) -> list[Cell]:
    counted = KINDS[test.kind].basis is Basis.COUNTS
    return [cell for cell in cells if counted or not cell.timed]


def judge_claims(claims: Sequence[Claim], cells: Sequence[Cell], *, look_ahead: bool = True) -> tuple[Verdict, ...]:
    """Judge the claims, with Holm's adjustment over those that could be tested.

    Args:
        claims: the claims of the report.
        cells: the cells of the sweep.
        look_ahead: also compute how many seeds would decide the open claims.
    """
    shared_by = claims_by_chance(claims)
    measured = [_measure(claim, cells, shared_by, look_ahead=look_ahead) for claim in claims]
    p_holm = _adjusted([verdict.p_value for verdict in measured])
    p_known = _adjusted([_p_known(verdict) for verdict in measured])
    return tuple(map(_rule, measured, p_holm, p_known))


def _adjusted(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust the known p values by Holm's procedure."""
    adjusted = iter(holm([p_value for p_value in p_values if p_value is not None]))
    return [None if p_value is None else next(adjusted) for p_value in p_values]


def _p_known(verdict: Verdict) -> float | None:
    """Return the claim's p value if the means of seeds that all agree were known for certain."""
    if verdict.p_value is None:
        return None
    for_it = [comparison.p_known for comparison in verdict.comparisons if comparison.p_known is not None]
    return min(1.0, 2 * max(for_it)) if len(for_it) == len(verdict.comparisons) else 1.0


def claims_by_chance(claims: Sequence[Claim]) -> int:
    """Count the claims that share the chance of a wrong verdict: those not decided by counts alone; at least 1."""
    return max(1, sum(any(KINDS[test.kind].basis is not Basis.COUNTS for test in claim.tests) for claim in claims))


def _measure(claim: Claim, cells: Sequence[Cell], shared_by: int, *, look_ahead: bool) -> Verdict:
    """Return the verdict before Holm: its comparisons and its own p value; the ruling means "not decided yet" here."""
    pairs = [(test, pairs_for(test, cells)) for test in claim.tests]
    if not all(found for _, found in pairs):
        return Verdict(claim=claim, ruling=Ruling.NOT_RUN, reason=lacking(claim, cells))
    alpha = claim.alpha / shared_by
    comparisons = tuple(
        compare(pair, test, alpha=alpha, look_ahead=look_ahead) for test, found in pairs for pair in found
    )
    if all(comparison.effect is None for comparison in comparisons):
        return Verdict(claim=claim, ruling=Ruling.NOT_RUN, reason=comparisons[0].note, comparisons=comparisons)
    undecided = Verdict(claim=claim, ruling=Ruling.INCONCLUSIVE, reason="", comparisons=comparisons)
    p_values = [p for p in _p_values(comparisons) if p is not None]
    if not p_values or all(comparison.exact for comparison in comparisons):
        return undecided
    return replace(undecided, p_value=min(1.0, 2 * min(p_values)))


def _p_values(comparisons: Sequence[Comparison]) -> tuple[float | None, float | None]:
    """Return the p values for the claim and against it. The first is None if any part of the claim was not tested."""
    for_it = [comparison.p_for for comparison in comparisons if comparison.p_for is not None]
    against = [comparison.p_against for comparison in comparisons if comparison.p_against is not None]
    return (
        max(for_it) if len(for_it) == len(comparisons) else None,
        min(1.0, min(against) * len(comparisons)) if against else None,
    )


def _rule(verdict: Verdict, p_holm: float | None, p_known: float | None) -> Verdict:
    if verdict.ruling is Ruling.NOT_RUN:
        return verdict
    verdict = replace(verdict, p_holm=p_holm)
    p_for, p_against = _p_values(verdict.comparisons)
    certain = all(comparison.exact and comparison.method for comparison in verdict.comparisons)
    if certain or (p_holm is not None and p_holm < verdict.claim.alpha):
        holds = p_for is not None and (p_against is None or p_for < p_against)
        if holds and any(KINDS[one.test.kind].basis is Basis.EACH_SEED for one in verdict.comparisons):
            return replace(verdict, ruling=Ruling.HELD, reason=_of_these_alone(verdict.comparisons))
        return replace(verdict, ruling=Ruling.SUPPORTED if holds else Ruling.CONTRADICTED, reason="")
    # The claim is open only because seeds show no spread: seeds that vary would support it, and all others agree.
    alike = [comparison for comparison in verdict.comparisons if comparison.alike]
    held = p_known is not None and p_known < verdict.claim.alpha and all(one.unanimous for one in alike)
    return _explained(replace(verdict, ruling=Ruling.HELD) if held and alike else verdict)


def _of_these_alone(comparisons: Sequence[Comparison]) -> str:
    """State the limit of a claim about every seed: the seeds that ran give no certainty about others."""
    n = min(comparison.second.estimate.n for comparison in comparisons)
    networks = "this network" if n == 1 else f"these {n} networks"
    return f"said of {networks} alone; up to {100 * unseen_share(n):.0f} % of other seeds could differ"


def _explained(verdict: Verdict) -> Verdict:
    """Return the verdict with the reason why it is open."""
    untested: dict[str, list[str]] = {}
    for comparison in verdict.comparisons:
        if not comparison.method:
            untested.setdefault(comparison.note, []).append(comparison.label)
    if untested:
        one = len(verdict.comparisons) == 1
        notes = [note if one else f"{', '.join(names)}: {note}" for note, names in untested.items()]
        return replace(verdict, reason="; ".join(notes))
    waiting = [one for one in verdict.comparisons if not one.clear] or list(verdict.comparisons)
    needed = [comparison.seeds_needed for comparison in waiting]
    known = [seeds for seeds in needed if seeds is not None]
    enough = max(known) if known and len(known) == len(needed) else None
    known_to_do = f"about {enough} seeds a cell would decide it"
    more = "more seeds like these would not decide it" if enough is None else known_to_do
    return replace(verdict, reason="; ".join([*_against(waiting), *_unseen(waiting), more]), seeds_needed=enough)


def _against(comparisons: Sequence[Comparison]) -> list[str]:
    """Name the comparisons that the bound for unseen seeds leaves open although every seed disagrees."""
    labels = [comparison.label for comparison in comparisons if comparison.alike and comparison.unanimous is False]
    return [f"in {formatting.listed(labels)}, every seed disagrees"] if labels else []


def _unseen(comparisons: Sequence[Comparison]) -> list[str]:
    """State what is unknown about seeds that did not run, if those that ran show no spread; empty otherwise."""
    alike = {side.label: side.estimate for comparison in comparisons for side in comparison.alike}
    if not alike:
        return []
    n = min(estimate.n for estimate in alike.values())
    share = f"up to {100 * unseen_share(n):.0f} % of other seeds could differ"
    each = "gave one value" if len(alike) == 1 else "each gave one value"
    return [f"all seeds of {formatting.listed(list(alike))} {each}, and {share} (n = {n})"]


__all__ = [
    "Comparison",
    "Ruling",
    "Side",
    "Verdict",
    "claims_for",
    "compare",
    "judge_claims",
]
