"""The comparison of a network's counts with the published ones, which shows whether it is the network of its name."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from models.published.entries import INPUTS, CountFigure, Published

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

    The complexity must be of the published cell's own input shape: see `published_complexity`.
    """
    return [_line(_ours(complexity, figure), figure) for figure in published.counts]


def published_complexity(published: Published) -> Complexity:
    """Return our count of a published cell, with the channels, classes and pixels that its figures are for."""
    from models.complexity import count

    in_channels, num_classes, image_size = INPUTS[published.dataset]
    image_size = published.spec.image_size or image_size
    return count(published.spec, in_channels=in_channels, num_classes=num_classes, image_size=image_size)


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
