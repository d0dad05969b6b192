"""Published claims as data.

`CLAIMS` holds the claims, `CONTRASTS` the ways to pick two cells and compare them, `KINDS` what must hold of the
difference. A new claim is one entry; a new kind of test is one entry, with a function if it needs one. `verdicts`
decides them. Nothing heavy is imported here, so that a workload's claims can be checked by name at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.cells import TRAIN_ERROR, Cell, Series

if TYPE_CHECKING:
    from reports.statistics import Difference


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One published statement and the test that decides it."""

    id: str
    statement: str
    """One sentence, as a reader would say it."""
    brief: str
    """The statement where a line must hold it."""
    source: str
    """Paper, then section, table or figure."""
    needs: str
    """The cells it needs, for people."""
    contrast: str
    """Which cells are compared: a key of `CONTRASTS`."""
    kind: str
    """What must hold of each difference: a key of `KINDS`."""
    metric: str = TRAIN_ERROR
    margin: float = 0.0
    """Percentage points that the difference is held against."""
    alpha: float = 0.05


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two cells; the difference is the second's mean less the first's."""

    label: str
    first: Cell
    second: Cell
    path: tuple[Cell, ...] = ()
    """The cells from first to second, both included: a trend is read along them."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A test of one difference against a margin: p value for the claim, p value against it."""

    rule: str
    """In words, `{margin}` standing for the claim's."""
    p_for: Callable[[Difference, float], float]
    p_against: Callable[[Difference, float], float]


def deepest_against_shallowest(select: Callable[[Series], bool]) -> Callable[[Sequence[Series]], list[Pair]]:
    """In each selected series, the deepest cell against the shallowest."""

    def pairs(series: Sequence[Series]) -> list[Pair]:
        return [
            Pair(label=one.name, first=one.cells[0], second=one.cells[-1], path=one.cells)
            for one in series
            if select(one) and len(one.cells) > 1
        ]

    return pairs


CONTRASTS: dict[str, Callable[[Sequence[Series]], list[Pair]]] = {
    "deepest against shallowest, plain": deepest_against_shallowest(lambda series: series.shortcut == "plain"),
    "deepest against shallowest, each shortcut": deepest_against_shallowest(lambda series: series.shortcut != "plain"),
}

KINDS: dict[str, Kind] = {
    "ordering": Kind(
        rule="the deepest one's mean is above the shallowest one's",
        p_for=lambda difference, margin: difference.p_above(margin),
        p_against=lambda difference, margin: difference.p_below(margin),
    ),
    "not worse": Kind(
        rule="the deepest one's mean is not above the shallowest one's by more than {margin}",
        p_for=lambda difference, margin: difference.p_below(margin),
        p_against=lambda difference, margin: difference.p_above(margin),
    ),
}


def _register(*claims: Claim) -> dict[str, Claim]:
    return {claim.id: claim for claim in claims}


CLAIMS = _register(
    Claim(
        id="plain-degrades-with-depth",
        statement="Plain networks get worse with depth, in training error too.",
        brief="plain nets degrade with depth",
        source="He et al. 2015 (arXiv 1512.03385), section 4.2, Figure 6 left",
        needs="plain networks of two depths or more",
        contrast="deepest against shallowest, plain",
        kind="ordering",
    ),
    Claim(
        id="residual-does-not-degrade",
        statement="Residual networks do not get worse with depth: whatever the shortcut, the deepest one's training "
        "error is at most 1 point above the shallowest one's.",
        brief="residual nets do not degrade",
        source="He et al. 2015 (arXiv 1512.03385), section 4.2, Figure 6 middle",
        needs="residual networks of two depths or more",
        contrast="deepest against shallowest, each shortcut",
        kind="not worse",
        margin=1.0,
    ),
)
