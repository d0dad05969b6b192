"""Which claims a number of seeds can decide, before anything runs.

It is reckoned that the truth is what the paper prints: the smallest gap among those that a claim compares, and for an
absolute claim its own mean. Where a claim says that something is not worse and the paper prints no gap, it is reckoned
that there is none. The spread between seeds is taken to be the same in every cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reports.cells import Cell
from reports.claim import Claim, ClaimTest
from reports.contrasts import Pair
from reports.kinds import KINDS, Basis
from reports.power import POWER, Spreads, detectable, power_of, required_seeds
from reports.verdicts import claims_by_chance, pairs_for

SPREAD_POINTS = 0.2
"""Standard deviation between seeds where nothing else is said. The papers print 0.14 to 0.22 points beside
their means of five runs (He et al. 2015, Table 6; He et al. 2016, Table 4)."""


@dataclass(frozen=True, kw_only=True)
class ClaimPower:
    """What the seeds of a workload can do for one claim."""

    claim: str
    decidable: bool | None
    """Whether the chance of a verdict is at least `POWER`; None where it cannot be reckoned."""
    reason: str
    """How the claim is decided where seeds are not the question, or why it cannot be."""
    seeds: int | None = None
    """Of the cell that has fewest."""
    gap: float | None = None
    """What the paper prints, in points: the test's that is hardest to decide."""
    margin: float = 0.0
    power: float | None = None
    """Chance of a verdict if the truth is as printed."""
    detectable: float | None = None
    """The smallest distance from the bound, in points, that these seeds tell with a chance of `POWER`."""
    seeds_needed: int | None = None
    """For a chance of `POWER`; None where no number would do, or it cannot be reckoned."""


def seed_power(claims: Sequence[Claim], cells: Sequence[Cell], spread: float = SPREAD_POINTS) -> list[ClaimPower]:
    """One entry for each claim, in order. They share the chance of a wrong verdict as in Holm's first step, at worst.

    Args:
        claims: those of the report.
        cells: those of the workload.
        spread: standard deviation between seeds, in points, but for tests that have their own.
    """
    shared_by = claims_by_chance(claims)
    return [_claim(claim, cells, claim.alpha / shared_by, spread) for claim in claims]


def _claim(claim: Claim, cells: Sequence[Cell], alpha: float, spread: float) -> ClaimPower:
    found = [(test, pairs_for(test, cells)) for test in claim.tests]
    if not all(pairs for _, pairs in found):
        return ClaimPower(claim=claim.id, decidable=False, reason=f"needs {claim.needs}")
    basis = KINDS[claim.tests[0].kind].basis
    if basis is Basis.COUNTS:
        return ClaimPower(claim=claim.id, decidable=True, reason="counts decide it, without seeds")
    if basis is Basis.EACH_SEED:
        return ClaimPower(claim=claim.id, decidable=None, reason="each seed is held against the threshold on its own")
    parts = [_test(claim, test, pairs, alpha, spread) for test, pairs in found]
    return min(parts, key=lambda part: -1.0 if part.power is None else part.power)


def _test(claim: Claim, test: ClaimTest, pairs: Sequence[Pair], alpha: float, spread: float) -> ClaimPower:
    n = min(len(cell.trials) for pair in pairs for cell in pair.cells)
    spreads = _spreads(test, pairs[0], spread)
    gap = _gap(test)
    told = ClaimPower(
        claim=claim.id,
        decidable=None,
        reason="" if gap is not None else "the paper prints no gap",
        seeds=n,
        gap=gap,
        margin=test.margin,
        detectable=detectable(spreads, n=n, alpha=alpha),
    )
    return told if gap is None else _reckoned(told, KINDS[test.kind].distances(gap, test.margin), spreads, alpha)


def _reckoned(told: ClaimPower, distances: tuple[float, ...], spreads: Spreads, alpha: float) -> ClaimPower:
    assert told.seeds is not None
    power = power_of(distances, spreads, n=told.seeds, alpha=alpha)
    needed = required_seeds(distances, spreads, alpha=alpha)
    return replace(told, decidable=power >= POWER, power=power, seeds_needed=needed)


def _gap(test: ClaimTest) -> float | None:
    if KINDS[test.kind].basis is Basis.PUBLISHED or (test.published_gap is None and test.kind == "not worse"):
        return 0.0
    return test.published_gap


def _spreads(test: ClaimTest, pair: Pair, spread: float) -> Spreads:
    sds = (spread if test.spread is None else test.spread,) * len(pair.cells)
    figure = test.reference
    if figure is None or figure.sd is None:
        return Spreads(sds=sds)
    return Spreads(sds=sds, published_sd=figure.sd, published_runs=figure.runs)
