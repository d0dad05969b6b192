"""The claims that a number of seeds can decide, computed before anything runs.

The true values are assumed to be those that the paper prints: for each pair its own gap or else the smallest that the
paper prints, and for an absolute claim the paper's mean. If a claim says that a network is not worse and the paper
prints no gap, the gap is assumed to be 0. The spread between seeds is assumed to be the same in every cell. The power
is the chance that all pairs of a claim support it together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from reports.claims.claim import Claim, ClaimTest
from reports.claims.contrasts import Pair
from reports.claims.kinds import KINDS, Basis
from reports.claims.measurement import MOST_SEEDS
from reports.claims.verdicts import claims_by_chance, lacking, pairs_for
from reports.stats.cells import TRAIN_ERROR, Cell
from reports.stats.power import POWER, Planned, Spreads, detectable, first_enough, power_of_all

SPREAD_POINTS = 0.2
"""Default standard deviation between seeds, in points. The papers print 0.14 to 0.22 points beside their means of five
runs (He et al. 2015, Table 6; He et al. 2016, Table 4)."""


ALIKE = "seeds that agree to the image, as training errors near 0 do, leave it at held so far"


@dataclass(frozen=True, kw_only=True)
class ClaimPower:
    """The chance that the seeds of a workload decide one claim."""

    claim: str
    decidable: bool | None
    """Whether the chance of a verdict is at least `POWER`; None if it cannot be computed."""
    reason: str
    """How the claim is decided if the number of seeds does not matter, or why it cannot be decided."""
    seeds: int | None = None
    """Seeds of the cell with the fewest seeds."""
    gap: float | None = None
    """The published gap, in points, of the test that is hardest to decide."""
    margin: float = 0.0
    power: float | None = None
    """Chance of a verdict if the true values are as published."""
    detectable: float | None = None
    """The smallest distance from the bound, in points, that these seeds detect with a chance of `POWER`."""
    seeds_needed: int | None = None
    """Seeds for a chance of `POWER`; None if no number suffices or it cannot be computed."""
    caveat: str = ""
    """A remark on what the chance does not include."""


def seed_power(claims: Sequence[Claim], cells: Sequence[Cell], spread: float = SPREAD_POINTS) -> list[ClaimPower]:
    """Return one entry for each claim, in order. In the worst case they share the chance of a wrong verdict as in
    Holm's first step.

    Args:
        claims: the claims of the report.
        cells: the cells of the workload.
        spread: standard deviation between seeds, in points, for tests that have none of their own.
    """
    shared_by = claims_by_chance(claims)
    return [_claim(claim, cells, claim.alpha / shared_by, spread) for claim in claims]


def _claim(claim: Claim, cells: Sequence[Cell], alpha: float, spread: float) -> ClaimPower:
    found = [(test, pairs_for(test, cells)) for test in claim.tests]
    if not all(pairs for _, pairs in found):
        return ClaimPower(claim=claim.id, decidable=False, reason=lacking(claim, cells))
    basis = KINDS[claim.tests[0].kind].basis
    if basis is Basis.COUNTS:
        return ClaimPower(claim=claim.id, decidable=True, reason="counts decide it, without seeds")
    if basis is Basis.EACH_SEED:
        return ClaimPower(claim=claim.id, decidable=None, reason="each seed is held against the threshold on its own")
    parts = [_Part(test=test, pairs=pairs, spread=spread, alpha=alpha) for test, pairs in found]
    n = min(part.seeds for part in parts)
    hardest = min(parts, key=lambda part: -1.0 if part.gap is None else part.power(n))
    known = ClaimPower(
        claim=claim.id,
        decidable=None,
        reason="" if hardest.gap is not None else "the paper prints no gap",
        seeds=n,
        gap=hardest.gap,
        margin=hardest.test.margin,
        detectable=detectable(hardest.spreads(hardest.pairs[0]), n=n, alpha=alpha),
        caveat=ALIKE if any(test.metric == TRAIN_ERROR for test in claim.tests) else "",
    )
    return known if hardest.gap is None else _with_power(known, parts, n)


def _with_power(known: ClaimPower, parts: Sequence[_Part], n: int) -> ClaimPower:
    def power(seeds: int) -> float:
        return math.prod(part.power(seeds) for part in parts)

    def enough(seeds: int) -> bool:
        return power(seeds) >= POWER

    beside_published = any(part.test.reference is not None for part in parts)
    needed = next(filter(enough, range(2, 101)), None) if beside_published else first_enough(enough, most=MOST_SEEDS)
    return replace(known, decidable=enough(n), power=power(n), seeds_needed=needed)


@dataclass(frozen=True, kw_only=True)
class _Part:
    """One test of a claim, with its pairs."""

    test: ClaimTest
    pairs: Sequence[Pair]
    spread: float
    alpha: float

    @property
    def seeds(self) -> int:
        """Seeds of the cell with the fewest seeds."""
        return min(len(cell.trials) for pair in self.pairs for cell in pair.cells)

    @property
    def gap(self) -> float | None:
        """The smallest gap that the paper prints; 0 if the claim states that there is none."""
        if KINDS[self.test.kind].basis is Basis.PUBLISHED:
            return 0.0
        return 0.0 if self.test.published_gap is None and self.test.kind == "not worse" else self.test.published_gap

    def power(self, n: int) -> float:
        """Return the chance that all pairs support the claim; pairs that share a cell share its seeds."""
        cells = list(dict.fromkeys(cell.cell_id for pair in self.pairs for cell in pair.cells))
        return power_of_all([self._planned(pair, cells) for pair in self.pairs], n=n, alpha=self.alpha)

    def _planned(self, pair: Pair, cells: Sequence[str]) -> Planned:
        weights = (1, -1, -1, 1)[-len(pair.cells) :]
        return Planned(
            distances=lambda difference: KINDS[self.test.kind].distances(difference, self.test.margin),
            gap=self._gap_of(pair),
            weights=tuple(
                (cells.index(cell.cell_id), weight) for cell, weight in zip(pair.cells, weights, strict=True)
            ),
            spreads=self.spreads(pair),
        )

    def _gap_of(self, pair: Pair) -> float:
        """Return the pair's own gap if the paper prints both of its errors, else the smallest gap that it prints."""
        printed = {figure.network: figure.value for figure in (*self.test.published, *self.test.others)}
        ends = [printed.get(cell.label.split()[0]) for cell in pair.cells]
        if self.test.others and len(ends) == 2 and None not in ends:
            first, second = (end for end in ends if end is not None)
            return second - first
        assert self.gap is not None
        return self.gap

    def spreads(self, pair: Pair) -> Spreads:
        """Return the assumed spread of each cell, and that of the published mean if cells are compared with one."""
        sds = (self.spread if self.test.spread is None else self.test.spread,) * len(pair.cells)
        figure = self.test.reference
        if figure is None or figure.sd is None:
            return Spreads(sds=sds)
        return Spreads(sds=sds, published_sd=figure.sd, published_runs=figure.runs)
