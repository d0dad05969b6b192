"""A cache of the networks' costs, kept between commands: to plan a sweep a second time, no network is built.

A count holds for the code that made it. The file of counts is named by a digest of every source file of `models` and
of the versions of torch and torchvision; other code has another file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import models
from harness.planning.plan import Count, count_cost
from harness.storage import write_atomic
from models.spec import ModelSpec
from workloads.datasets.spec import DatasetSpec


@dataclass(frozen=True, kw_only=True)
class KnownCost:
    """Totals of `models.complexity.Complexity` that planning and the audit read."""

    params: int
    norm_params: int
    macs: int
    train_flops_per_image: int


class KnownCosts:
    """Counts each network once, and caches the counts in a folder. Counts that cannot be kept are counted again."""

    def __init__(self, folder: Path, count: Count = count_cost) -> None:
        self._file = folder / f"{_code_digest()}.json"
        self._count = count
        self._known = _read(self._file)
        self._new = False

    def count(self, model: ModelSpec, dataset: DatasetSpec) -> KnownCost:
        """Return the cost of a model on a data set's images. Raises `ValueError` if the model cannot take them."""
        key = _key(model, dataset)
        if key not in self._known:
            counted: Any = self._count(model, dataset)
            self._known[key] = KnownCost(**{name: getattr(counted, name) for name in KnownCost.__annotations__})
            self._new = True
        return self._known[key]

    def keep(self) -> None:
        """Write the new counts, keeping those that another command may have written meanwhile."""
        if not self._new:
            return
        known = {**_read(self._file), **self._known}
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self._file, json.dumps({key: asdict(cost) for key, cost in known.items()}).encode())
        except OSError:
            return  # without a writable folder, the next plan takes seconds longer


def _read(file: Path) -> dict[str, KnownCost]:
    try:
        return {key: _checked(cost) for key, cost in json.loads(file.read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _checked(cost: Mapping[str, Any]) -> KnownCost:
    known = KnownCost(**cost)
    if not all(type(value) is int and value >= 0 for value in asdict(known).values()):
        raise ValueError(f"{cost} is no count")
    return known


def _key(model: ModelSpec, dataset: DatasetSpec) -> str:
    side = model.image_size or dataset.image_size
    return json.dumps([model.name, model.axes, dataset.channels, dataset.classes, side])


def _code_digest() -> str:
    digest = hashlib.sha256(f"torch {version('torch')}, torchvision {version('torchvision')}".encode())
    for source in sorted(Path(*models.__path__).glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:32]
