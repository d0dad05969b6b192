"""The comparison of a network's counts with the published ones, which shows whether it is the network of its name."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from models.published.entries import CountFigure, Published

if TYPE_CHECKING:
    from models.complexity import Complexity


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditLine:
    """One published count beside ours."""

    quantity: str
    """params or macs."""
    ours: int
    published: float
    difference: float
    """Our count less the published one."""
    convention: str
    """The way of counting that both numbers follow."""
    source: str
    within_rounding: bool
    """Whether our count prints as the published number. False means that this is not the paper's network."""


def audit(complexity: Complexity, published: Published) -> list[AuditLine]:
    """Return one line for each published count, compared by the convention of its own source.

    The complexity must be counted at the published cell's own input shape; see `models.published.entries.INPUTS`.
    """
    return [_line(_ours(complexity, figure), figure) for figure in published.counts]


def _ours(complexity: Complexity, figure: CountFigure) -> int:
    if figure.quantity == "macs":
        return complexity.macs
    return complexity.params - (complexity.norm_params if figure.without_norm else 0)


def _line(ours: int, figure: CountFigure) -> AuditLine:
    return AuditLine(
        quantity=figure.quantity,
        ours=ours,
        published=figure.value,
        difference=ours - figure.value,
        convention=figure.convention,
        source=figure.source,
        within_rounding=figure.covers(ours),
    )
