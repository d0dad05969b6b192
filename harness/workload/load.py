"""The workload file, read strictly into frozen values. Nothing here imports torch.

A file gives four lists of alternatives (models, data sets, recipes, scales) and the seeds; the sweep is their product.
Wherever a setting stands, a list of values makes it an axis. `matrix` may be a list of blocks: the union of their
products. A block may have a data set and a recipe of its own, in place of the file's. Blocks may overlap, as sets do,
and what is in two of them is trained once; a value twice in one list is a slip, and refused.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from harness.trial import Machine, Measure, Scale
from harness.workload.fields import Axes, FileFields, as_block, axes_of, read
from harness.workload.file import read_text
from harness.workload.fit import NetworkCell, check_fit, check_timed
from harness.workload.source import Mistakes, Place, parse, show, suggest
from models import MODELS
from models.spec import ModelSpec
from workloads.datasets import DATASETS
from workloads.datasets.spec import DatasetSpec
from workloads.recipes import RECIPES, Recipe

MAX_TRIALS = 100_000
"""More are taken for a slip."""
SCALE_BOUNDS = {"workers": (1, 10_000), "cpus_per_worker": (1, 1_024), "gpus_per_worker": (0.0001, 64)}
"""The least and the most of each number of a `Scale`. Ray's shares of a GPU have four decimals."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A workload file, resolved: every alternative is a finished value."""

    name: str
    description: str
    cells: tuple[NetworkCell, ...]
    """What is trained on what, and how: the union of the matrix's blocks, each once, in their order."""
    scales: tuple[Scale, ...]
    seeds: tuple[int, ...]
    claims: tuple[str, ...]
    """Ids of published statements to check; `check_claims` holds them against those that exist."""
    measure: Measure
    """What every trial is for."""
    audit: Literal["strict", "warn"]
    """What to do where a network's size differs from the published one."""
    isolation: Literal["group", "process"]
    """process: a fresh worker group for every trial."""
    keep: Literal["nothing", "weights"]
    """What stays on the storage of a trial that has its result, beside what MLflow has."""
    max_attempts: int
    trial_timeout_s: float | None
    """Longest time of one attempt at a trial; the next attempt goes on from its checkpoint."""
    stall_timeout_s: float
    """Longest time of a trial without a step: then its group is killed, and the trial tried again."""
    checkpoint_every_s: float
    """Longest time of a trial without a checkpoint."""
    checkpoint_every_steps: int | None
    """Beside that, after so many steps of an epoch."""
    file: str
    """As the user named it."""
    text: str
    """The file's content."""
    shipped: bool
    """Whether the file came with the package, because there is none of that name here."""
    machines: Mapping[str, Machine] = field(default_factory=dict)
    """Device -> what it is timed on; filled by `harness.launch.device` where the workload times."""

    @property
    def models(self) -> tuple[ModelSpec, ...]:
        """Every network, once."""
        return tuple(dict.fromkeys(cell.model for cell in self.cells))

    @property
    def datasets(self) -> tuple[DatasetSpec, ...]:
        """Every data set, once."""
        return tuple(dict.fromkeys(cell.dataset for cell in self.cells))

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """Every recipe, once."""
        return tuple(dict.fromkeys(cell.recipe for cell in self.cells))


def load_workload(path: str | Path) -> Workload:
    """Read a workload file, or one that is shipped with the package: `digits` or `workloads/digits.yaml`.

    Raises:
        WorkloadError: the file is missing or unreadable, or something in it is wrong; all mistakes, each with its line.
    """
    text, shipped = read_text(Path(path))
    return parse_workload(str(path), text, shipped=shipped)


def parse_workload(file: str, text: str, *, shipped: bool = False) -> Workload:
    """As `load_workload`, from text. `file` names it in messages."""
    source = parse(file, text)
    mistakes = Mistakes(source)
    fields = read(FileFields, source.data, (), mistakes)
    mistakes.check()
    assert fields is not None
    scales = _Product(_scale, axes_of(Scale, fields.scale, ("scale",), mistakes), ("scale",), mistakes)
    blocks = _blocks(fields, mistakes)
    _check_count(sum(map(_count, blocks)) * scales.count * len(fields.seeds), mistakes)
    cells = tuple(dict.fromkeys(cell for block in blocks for cell in itertools.starmap(NetworkCell, _cells(block))))
    places = {recipe: block.place for block in reversed(blocks) for recipe in block.recipes.made}
    all_scales = scales.made
    mistakes.check()
    check_fit(cells, all_scales, places, mistakes)
    if fields.measure == "throughput":
        check_timed(cells, places, mistakes)
        _check_no_claims(fields, mistakes)
    mistakes.check()
    settings = {
        "name",
        "description",
        "seeds",
        "claims",
        "measure",
        "audit",
        "isolation",
        "keep",
        "max_attempts",
        "checkpoint_every_steps",
    }
    return Workload(
        cells=cells,
        scales=tuple(all_scales),
        **{name: getattr(fields, name) for name in settings},
        trial_timeout_s=fields.trial_timeout,
        stall_timeout_s=fields.stall_timeout,
        checkpoint_every_s=fields.checkpoint_every,
        file=file,
        text=text,
        shipped=shipped,
    )


def check_claims(workload: Workload, known: Sequence[str]) -> None:
    """Hold the workload's claims against those that exist; apart from reading, because claims live in `reports`.

    Raises:
        WorkloadError: a claim that does not exist, with its line.
    """
    mistakes = Mistakes(parse(workload.file, workload.text))
    for index, claim in enumerate(workload.claims):
        if claim not in known:
            mistakes.add(("claims", index), f"unknown claim {show(claim)}{suggest(claim, known)}")
    mistakes.check()


def fingerprints(workload: Workload) -> dict[DatasetSpec, str]:
    """The digest of each data set's files and split.

    Raises:
        WorkloadError: files are missing or not the official ones.
    """
    mistakes = Mistakes(parse(workload.file, workload.text))
    digests = {}
    for dataset in workload.datasets:
        try:
            digests[dataset] = dataset.fingerprint()
        except (OSError, ValueError) as error:
            mistakes.add(("dataset",), f"the data set cannot be used: {error}")
    mistakes.check()
    return digests


def _check_no_claims(fields: FileFields, mistakes: Mistakes) -> None:
    if fields.claims:
        mistakes.add(
            ("claims",), "claims are about trained networks; measure: throughput trains none, so leave them out"
        )


@dataclass(frozen=True)
class _Product(Generic[_T]):
    """Every combination of some settings, counted before any is made."""

    make: Callable[..., _T]
    axes: Axes | None
    """None where mistakes are noted already."""
    place: Place
    mistakes: Mistakes

    @property
    def count(self) -> int:
        """How many there are; one with mistakes counts as one."""
        return 1 if self.axes is None else math.prod(map(len, self.axes.values()))

    @cached_property
    def made(self) -> list[_T]:
        """All of them, the last axis fastest. What `make` refuses becomes a mistake."""
        if self.axes is None:
            return []
        made = []
        for values in itertools.product(*self.axes.values()):
            settings = dict(zip(self.axes, values, strict=True))
            try:
                made.append(self.make(**settings))
            except ValueError as error:
                self.mistakes.add(_blame(str(error), self.axes, settings, self.place), str(error))
        return made


class _Block(NamedTuple):
    """One block of the matrix."""

    models: _Product[ModelSpec]
    datasets: _Product[DatasetSpec]
    recipes: _Product[Recipe]
    place: Place
    """Where its recipes stand."""


def _blocks(fields: FileFields, mistakes: Mistakes) -> list[_Block]:
    """The blocks of the matrix, each with the file's data sets and recipes where it has none of its own."""
    datasets = _datasets(fields.dataset, ("dataset",), mistakes)
    recipes = _recipes(fields.recipe, ("recipe",), mistakes)
    blocks = []
    for index, block in enumerate(fields.matrix):
        place = ("matrix", index)
        own = {name: place_of for name in _BESIDE_MODEL if name in block for place_of in [(*place, name)]}
        named = {name: as_block(block[name], at, mistakes) for name, at in own.items()}
        blocks.append(
            _Block(
                models=_models({name: value for name, value in block.items() if name not in own}, place, mistakes),
                datasets=_datasets(named["dataset"], own["dataset"], mistakes) if "dataset" in own else datasets,
                recipes=_recipes(named["recipe"], own["recipe"], mistakes) if "recipe" in own else recipes,
                place=own.get("recipe", ("recipe",)),
            )
        )
    return blocks


_BESIDE_MODEL = ("dataset", "recipe")
"""What a block of the matrix may have of its own."""


def _count(block: _Block) -> int:
    return block.models.count * block.datasets.count * block.recipes.count


def _cells(block: _Block) -> Iterator[tuple[ModelSpec, DatasetSpec, Recipe]]:
    return itertools.product(block.models.made, block.datasets.made, block.recipes.made)


def _models(block: Mapping[str, Any], place: Place, mistakes: Mistakes) -> _Product[ModelSpec]:
    kind = _named(block, "model", MODELS, place, mistakes)
    if kind is None:
        return _Product(ModelSpec, None, place, mistakes)
    return _settings_product(kind, kind, block, "model", place, mistakes, also=_BESIDE_MODEL)


def _datasets(block: Mapping[str, Any], place: Place, mistakes: Mistakes) -> _Product[DatasetSpec]:
    kind = _named(block, "name", DATASETS, place, mistakes)
    if kind is None:
        return _Product(DatasetSpec, None, place, mistakes)
    return _settings_product(kind, kind, block, "name", place, mistakes)


def _recipes(block: Mapping[str, Any], place: Place, mistakes: Mistakes) -> _Product[Recipe]:
    """A recipe by name, with what is said beside it changed; without a name, all that a recipe needs."""
    if "name" not in block:
        return _settings_product(Recipe, Recipe, block, "name", place, mistakes)
    base = _named(block, "name", RECIPES, place, mistakes)
    if base is None:
        return _Product(Recipe, None, place, mistakes)
    return _settings_product(Recipe, base.changed, block, "name", place, mistakes, optional=True)


def _settings_product(
    kind: type,
    make: Callable[..., _T],
    block: Mapping[str, Any],
    key: str,
    place: Place,
    mistakes: Mistakes,
    *,
    optional: bool = False,
    also: Sequence[str] = (),
) -> _Product[_T]:
    """Every combination of the settings that stand beside `key`, and beside what else is allowed, in a block."""
    settings = {name: value for name, value in block.items() if name != key}
    axes = axes_of(kind, settings, place, mistakes, beside=(key, *also), optional=optional)
    return _Product(make, axes, place, mistakes)


def _scale(**settings: Any) -> Scale:
    scale = Scale(**settings)
    for name, (least, most) in SCALE_BOUNDS.items():
        if not least <= getattr(scale, name) <= most:
            value = show(getattr(scale, name))
            raise ValueError(f"{name} is {value}; it must be at least {least:,} and at most {most:,}")
    gpus = scale.gpus_per_worker
    if gpus > 1 and gpus % 1:
        raise ValueError(f"gpus_per_worker is {gpus}; it must be a share up to 1, or a whole number")
    if gpus < 1 and scale.workers > 1 and scale.device != "cpu":
        raise ValueError(
            f"gpus_per_worker is {gpus} with workers {scale.workers}: two of one group would meet on a GPU, which NCCL "
            "refuses; give each a whole one, or set workers: 1 or device: cpu"
        )
    return scale


def _named(
    block: Mapping[str, Any], key: str, registry: Mapping[str, _T], place: Place, mistakes: Mistakes
) -> _T | None:
    """What a block names, from a registry."""
    if key not in block:
        mistakes.add(place, f"{mistakes.spell(place)} lacks {key!r}. Valid: {', '.join(registry)}")
        return None
    name, at = block[key], (*place, key)
    if isinstance(name, str) and name in registry:
        return registry[name]
    if isinstance(name, list):
        mistakes.add(at, f"{mistakes.spell(at)} must be one name, not a list; write one block for each")
    else:
        what = "data set" if place[-1] == "dataset" else str(place[-1]) if key == "name" else key
        mistakes.add(at, f"unknown {what} {show(name)}{suggest(name, list(registry))}")
    return None


def _blame(message: str, axes: Axes, settings: Mapping[str, Any], place: Place) -> Place:
    """The place of the value that a message is about: of the first axis that it names, else of the whole block."""
    named = next((axis for axis in axes if re.search(rf"\b{re.escape(axis)}\b", message)), None)
    return place if named is None else (*place, named, axes[named].index(settings[named]))


def _check_count(count: int, mistakes: Mistakes) -> None:
    """Raise the mistakes at once where there are more combinations than could be made in good time."""
    if count > MAX_TRIALS:
        mistakes.add((), f"the file asks for {count:,} combinations; at most {MAX_TRIALS:,} are allowed")
        mistakes.check()
