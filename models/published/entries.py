"""Reference figures with their sources, as pure data. `PUBLISHED` lists them, and `published` looks one up."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from models.comparators import ZFNet
from models.published import he2015 as published_he2015
from models.published import he2016 as published_he2016
from models.published import torchvision as published_torchvision
from models.published.figures import CountFigure, ErrorFigure, Published, top1_top5
from models.spec import ModelSpec

INPUTS = {"cifar10": (3, 10, 32), "cifar100": (3, 100, 32), "imagenet": (3, 1000, 224)}
"""Data set -> channels, classes and pixels of its figures. A model with a crop of its own is counted at that crop."""


def _zfnet() -> Published:
    source = "Zeiler 2014 (arXiv 1311.2901v3), Table 2"
    return Published(
        spec=ZFNet(), dataset="imagenet", errors=top1_top5("38.4", "16.5", source=source, protocol="10-crop")
    )


def _merge(entries: Iterable[Published]) -> tuple[Published, ...]:
    """Return one entry for each cell, with the figures of all sources, in their order."""
    cells: dict[tuple[ModelSpec, str], Published] = {}
    for entry in entries:
        key = (entry.spec, entry.dataset)
        known = cells.get(key, Published(spec=entry.spec, dataset=entry.dataset))
        cells[key] = dataclasses.replace(known, counts=known.counts + entry.counts, errors=known.errors + entry.errors)
    return tuple(cells.values())


PUBLISHED: tuple[Published, ...] = _merge(
    (
        *published_he2015.cifar(),
        *published_he2016.cifar(),
        *published_he2015.imagenet(),
        *published_he2016.imagenet(),
        *published_torchvision.imagenet(),
        _zfnet(),
    )
)
"""Every published cell, each once."""

_BY_CELL = {(entry.spec, entry.dataset): entry for entry in PUBLISHED}


def published(spec: ModelSpec, dataset: str) -> Published | None:
    """Return the published figures of this network on this data set (cifar10, cifar100, imagenet), or None."""
    return _BY_CELL.get((spec, dataset))


__all__ = ["INPUTS", "PUBLISHED", "CountFigure", "ErrorFigure", "Published", "published"]
