"""The workload file, read strictly into frozen values. Nothing here imports torch.

A file gives four lists of alternatives (models, data sets, recipes, scales) and the seeds; the sweep is their product.
A list of values in place of one makes a setting an axis. `matrix` may be a list of blocks: the union of their
products. A block may have a data set and a recipe of its own, in place of the file's. Blocks may overlap, as sets do:
a cell in two blocks is trained once. A value that occurs twice in one list is refused as a mistake.
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

from harness.trial import AttemptSettings, Machine, Measure, Scale
from harness.workload.fields import Axes, FileFields, as_block, axes_of, read
from harness.workload.file import read_text
from harness.workload.fit import NetworkCell, check_fit, check_timed
from harness.workload.source import KeyPath, Mistakes, parse, show, suggest
from models import MODELS
from models.spec import ModelSpec
from workloads.datasets import DATASETS
from workloads.datasets.spec import DatasetSpec
from workloads.recipes import RECIPES, Recipe

MAX_TRIALS = 100_000
"""Maximum trials of a sweep; more are taken for a mistake."""
SCALE_BOUNDS = {"workers": (1, 10_000), "cpus_per_worker": (1, 1_024), "gpus_per_worker": (0.0001, 64)}
"""Smallest and largest value of each number of a `Scale`. Ray's shares of a GPU have four decimals."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A resolved workload file: every alternative is a finished value."""

    name: str
    description: str
    cells: tuple[NetworkCell, ...]
    """Networks with their data sets and recipes: the union of the matrix's blocks, each cell once, in their order."""
    scales: tuple[Scale, ...]
    seeds: tuple[int, ...]
    claims: tuple[str, ...]
    """Ids of published statements to check; `check_claims` compares them with the known ones."""
    measure: Measure
    """The purpose of every trial."""
    audit: Literal["strict", "warn"]
    """Reaction to a network whose size differs from the published one."""
    isolation: Literal["group", "process"]
    """process: a fresh worker group for every trial."""
    keep: Literal["nothing", "weights"]
    """Files to keep on the storage of a trial that has its result, besides MLflow's."""
    max_attempts: int
    trial_timeout_s: float | None
    """Seconds that one attempt at a trial may take; the next attempt continues from its checkpoint."""
    stall_timeout_s: float
    """Seconds that a trial may pass without a step; then its group is killed, and the trial is tried again."""
    checkpoint_every_s: float
    """Longest time between two checkpoints of a trial, in seconds."""
    checkpoint_every_steps: int | None
    """Steps of an epoch between two checkpoints, in addition to the time."""
    file: str
    """The file's name as the user wrote it."""
    text: str
    """The file's content."""
    shipped: bool
    """Whether the file came with the package, because the user has none of that name."""
    machines: Mapping[str, Machine] = field(default_factory=dict)
    """Device -> the machine that is timed; filled by `harness.launch.device` if the workload times."""

    @property
    def attempt_settings(self) -> AttemptSettings:
        """Settings of every attempt at one of its trials."""
        return AttemptSettings(
            timeout_s=self.trial_timeout_s,
            checkpoint_every_s=self.checkpoint_every_s,
            checkpoint_every_steps=self.checkpoint_every_steps,
        )

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
        WorkloadError: the file is missing or unreadable, or it has mistakes; the message lists all, each with its line.
    """
    text, shipped = read_text(Path(path))
    return parse_workload(str(path), text, shipped=shipped)


def parse_workload(file: str, text: str, *, shipped: bool = False) -> Workload:
    """Parse a workload file's text, like `load_workload`. `file` is its name in messages."""
    source = parse(file, text)
    mistakes = Mistakes(source)
    fields = read(FileFields, source.data, (), mistakes)
    mistakes.check()
    assert fields is not None
    scales = _Product(_scale, axes_of(Scale, fields.scale, ("scale",), mistakes), ("scale",), mistakes)
    blocks = _blocks(fields, mistakes)
    _check_count(sum(map(_count, blocks)) * scales.count * len(fields.seeds), mistakes)
    cells = tuple(dict.fromkeys(cell for block in blocks for cell in itertools.starmap(NetworkCell, _cells(block))))
    key_paths = {recipe: block.key_path for block in reversed(blocks) for recipe in block.recipes.made}
    all_scales = scales.made
    mistakes.check()
    check_fit(cells, all_scales, key_paths, mistakes)
    if fields.measure == "throughput":
        check_timed(cells, key_paths, mistakes)
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
    """Check that the workload's claims exist. This is separate from reading, because claims are defined in `reports`.

    Raises:
        WorkloadError: a claim does not exist; the message has its line.
    """
    mistakes = Mistakes(parse(workload.file, workload.text))
    for index, claim in enumerate(workload.claims):
        if claim not in known:
            mistakes.add(("claims", index), f"unknown claim {show(claim)}{suggest(claim, known)}")
    mistakes.check()


def fingerprints(workload: Workload) -> dict[DatasetSpec, str]:
    """Return the digest of each data set's files and split.

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
    """The settings' values, None if mistakes are noted already."""
    key_path: KeyPath
    mistakes: Mistakes

    @property
    def count(self) -> int:
        """Number of combinations; one with mistakes counts as one."""
        return 1 if self.axes is None else math.prod(map(len, self.axes.values()))

    @cached_property
    def made(self) -> list[_T]:
        """All combinations, the last axis fastest. A refusal of `make` is noted as a mistake."""
        if self.axes is None:
            return []
        made = []
        for values in itertools.product(*self.axes.values()):
            settings = dict(zip(self.axes, values, strict=True))
            try:
                made.append(self.make(**settings))
            except ValueError as error:
                self.mistakes.add(_blame(str(error), self.axes, settings, self.key_path), str(error))
        return made


class _Block(NamedTuple):
    """One block of the matrix."""

    models: _Product[ModelSpec]
    datasets: _Product[DatasetSpec]
    recipes: _Product[Recipe]
    key_path: KeyPath
    """The key path of its recipes in the file."""


def _blocks(fields: FileFields, mistakes: Mistakes) -> list[_Block]:
    """Return the blocks of the matrix. A block without data sets or recipes of its own gets the file's."""
    datasets = _datasets(fields.dataset, ("dataset",), mistakes)
    recipes = _recipes(fields.recipe, ("recipe",), mistakes)
    blocks = []
    for index, block in enumerate(fields.matrix):
        key_path = ("matrix", index)
        own = {name: path for name in _BESIDE_MODEL if name in block for path in [(*key_path, name)]}
        named = {name: as_block(block[name], at, mistakes) for name, at in own.items()}
        blocks.append(
            _Block(
                models=_models({name: value for name, value in block.items() if name not in own}, key_path, mistakes),
                datasets=_datasets(named["dataset"], own["dataset"], mistakes) if "dataset" in own else datasets,
                recipes=_recipes(named["recipe"], own["recipe"], mistakes) if "recipe" in own else recipes,
                key_path=own.get("recipe", ("recipe",)),
            )
        )
    return blocks


_BESIDE_MODEL = ("dataset", "recipe")
"""Keys that a block of the matrix may have beside its model."""


def _count(block: _Block) -> int:
    return block.models.count * block.datasets.count * block.recipes.count


def _cells(block: _Block) -> Iterator[tuple[ModelSpec, DatasetSpec, Recipe]]:
    return itertools.product(block.models.made, block.datasets.made, block.recipes.made)


def _models(block: Mapping[str, Any], key_path: KeyPath, mistakes: Mistakes) -> _Product[ModelSpec]:
    kind = _named(block, "model", MODELS, key_path, mistakes)
    if kind is None:
        return _Product(ModelSpec, None, key_path, mistakes)
    return _settings_product(kind, kind, block, "model", key_path, mistakes, also=_BESIDE_MODEL)


def _datasets(block: Mapping[str, Any], key_path: KeyPath, mistakes: Mistakes) -> _Product[DatasetSpec]:
    kind = _named(block, "name", DATASETS, key_path, mistakes)
    if kind is None:
        return _Product(DatasetSpec, None, key_path, mistakes)
    return _settings_product(kind, kind, block, "name", key_path, mistakes)


def _recipes(block: Mapping[str, Any], key_path: KeyPath, mistakes: Mistakes) -> _Product[Recipe]:
    """Return a named recipe with the given settings changed; without a name, a recipe of the given settings alone."""
    if "name" not in block:
        return _settings_product(Recipe, Recipe, block, "name", key_path, mistakes)
    base = _named(block, "name", RECIPES, key_path, mistakes)
    if base is None:
        return _Product(Recipe, None, key_path, mistakes)
    return _settings_product(Recipe, base.changed, block, "name", key_path, mistakes, optional=True)


def _settings_product(
    kind: type,
    make: Callable[..., _T],
    block: Mapping[str, Any],
    key: str,
    key_path: KeyPath,
    mistakes: Mistakes,
    *,
    optional: bool = False,
    also: Sequence[str] = (),
) -> _Product[_T]:
    """Return every combination of a block's settings, which stand beside `key` and the keys in `also`."""
    settings = {name: value for name, value in block.items() if name != key}
    axes = axes_of(kind, settings, key_path, mistakes, beside=(key, *also), optional=optional)
    return _Product(make, axes, key_path, mistakes)


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
    block: Mapping[str, Any], key: str, registry: Mapping[str, _T], key_path: KeyPath, mistakes: Mistakes
) -> _T | None:
    """Return the entry of a registry that a block names."""
    if key not in block:
        mistakes.add(key_path, f"{mistakes.spell(key_path)} lacks {key!r}. Valid: {', '.join(registry)}")
        return None
    name, at = block[key], (*key_path, key)
    if isinstance(name, str) and name in registry:
        return registry[name]
    if isinstance(name, list):
        mistakes.add(at, f"{mistakes.spell(at)} must be one name, not a list; write one block for each")
    else:
        what = "data set" if key_path[-1] == "dataset" else str(key_path[-1]) if key == "name" else key
        mistakes.add(at, f"unknown {what} {show(name)}{suggest(name, list(registry))}")
    return None


def _blame(message: str, axes: Axes, settings: Mapping[str, Any], key_path: KeyPath) -> KeyPath:
    """Return the key path of the value that a message is about: on the first axis that it names, else the block."""
    named = next((axis for axis in axes if re.search(rf"\b{re.escape(axis)}\b", message)), None)
    return key_path if named is None else (*key_path, named, axes[named].index(settings[named]))


def _check_count(count: int, mistakes: Mistakes) -> None:
    """Raise the mistakes at once if there are too many combinations to make them in reasonable time."""
    if count > MAX_TRIALS:
        mistakes.add((), f"the file asks for {count:,} combinations; at most {MAX_TRIALS:,} are allowed")
        mistakes.check()
