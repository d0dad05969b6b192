"""Conditions on the differences that claims compare: `KINDS`, each a measurement and two p values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reports.stats.inference import Difference

PValue = Callable[["Difference", float], float]


class Basis(StrEnum):
    """The two sides of a difference and the source of its uncertainty."""

    SEEDS = "seeds of two cells"
    PUBLISHED = "seeds of a cell and a published mean"
    EACH_SEED = "each seed's images and a threshold"
    COUNTS = "counts without uncertainty"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A test of one difference against a margin, with a p value for the claim and one against it."""

    basis: Basis
    p_for: PValue
    p_against: PValue
    distances: Callable[[Any, float], tuple[Any, ...]]
    """Function that takes a difference and a margin, and returns how far the difference lies inside each bound of the
    claim; negative outside the bound. An array of differences gives arrays."""
    above: bool = True
    """Whether each seed should be above the threshold; only used with `Basis.EACH_SEED`."""


def _higher(basis: Basis) -> Kind:
    return Kind(
        basis=basis,
        p_for=lambda difference, margin: difference.p_above(margin),
        p_against=lambda difference, margin: difference.p_below(margin),
        distances=lambda value, margin: (value - margin,),
    )


def _lower(basis: Basis) -> Kind:
    return Kind(
        basis=basis,
        p_for=lambda difference, margin: difference.p_below(margin),
        p_against=lambda difference, margin: difference.p_above(margin),
        distances=lambda value, margin: (margin - value,),
        above=False,
    )


def _within(basis: Basis) -> Kind:
    """Return two one-sided tests (Schuirmann 1987): the difference is below the margin and above minus the margin."""
    return Kind(
        basis=basis,
        p_for=lambda difference, margin: max(difference.p_below(margin), difference.p_above(-margin)),
        p_against=lambda difference, margin: min(1.0, 2 * min(difference.p_above(margin), difference.p_below(-margin))),
        distances=lambda value, margin: (margin - value, margin + value),
    )


KINDS: dict[str, Kind] = {
    "ordering": _higher(Basis.SEEDS),
    "ordering, lower": _lower(Basis.SEEDS),
    "not worse": _lower(Basis.SEEDS),
    "equivalence": _within(Basis.SEEDS),
    "absolute": _within(Basis.PUBLISHED),
    "every seed above": _higher(Basis.EACH_SEED),
    "every seed below": _lower(Basis.EACH_SEED),
    "cost within": _within(Basis.COUNTS),
    "cost below": _lower(Basis.COUNTS),
}
