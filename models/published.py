"""Reference figures with their sources, as pure data. `PUBLISHED` lists them, `published` looks one up."""

from __future__ import annotations

from models import published_he2015
from models.published_figures import CountFigure, ErrorFigure, Published
from models.spec import ModelSpec

PUBLISHED: tuple[Published, ...] = (*published_he2015.cifar(),)
"""Every published cell."""

_BY_CELL = {(entry.spec, entry.dataset): entry for entry in PUBLISHED}


def published(spec: ModelSpec, dataset: str) -> Published | None:
    """What was published about this network on this data set (cifar10, cifar100, imagenet), or None."""
    return _BY_CELL.get((spec, dataset))


__all__ = ["PUBLISHED", "CountFigure", "ErrorFigure", "Published", "published"]
