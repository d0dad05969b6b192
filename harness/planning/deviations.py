"""The deviation ledger: differences between a cell's recipe or data and the published ones it is compared with. Pure.

A cell is compared with the training that its paper describes for such a network; of several, with the one that it
differs least from. A setting that a paper needs but does not print is in the ledger too, with no published value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.trial import Trial
from models.provenance import HE_2015, HE_2016
from models.published.entries import published
from models.spec import ModelSpec
from workloads.datasets import DATASETS
from workloads.recipes import RECIPES, Recipe

GOYAL_2017 = "Goyal 2017 (arXiv 1706.02677)"


@dataclass(frozen=True, kw_only=True)
class Deviation:
    """One setting that differs from the published one."""

    name: str
    published: str | None
    """Published value; None if the paper does not print it."""
    used: str


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """All deviations of one cell."""

    cell_id: str
    label: str
    source: str | None
    """Source of the training that the cell is compared with; None if no paper trained such a network."""
    deviations: tuple[Deviation, ...]

    def record(self) -> dict[str, Any]:
        """Return the ledger in a form for JSON."""
        return {**dataclasses.asdict(self), "deviations": [dataclasses.asdict(one) for one in self.deviations]}


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Training of a network in a paper."""

    source: str
    recipe: Recipe
    dataset: str
    normalization: str
    norm_images: int | None
    """Images per batch-norm statistic: those of one of the paper's devices; None if the paper does not say."""
    unprinted: tuple[str, ...] = ()
    """Settings of the recipe that the paper needs but does not print."""
    printed: Mapping[str, str] = field(default_factory=dict)
    """Settings of the paper's recipe that no `Recipe` can express."""


def ledger_of(trial: Trial) -> Ledger:
    """Return the ledger of a trial's cell. It is empty for a cell that is only timed, which no paper trained."""
    trains = trial.measure == "training"
    references = list(references_for(trial.model, trial.dataset.name)) if trains else []
    found = [(reference, tuple(_deviations(trial, reference))) for reference in references]
    if not found:
        return Ledger(cell_id=trial.cell_id, label=trial.label, source=None, deviations=())
    nearest, deviations = min(found, key=lambda pair: len(pair[1]))
    return Ledger(cell_id=trial.cell_id, label=trial.label, source=nearest.source, deviations=deviations)


def references_for(model: ModelSpec, dataset: str) -> Iterator[Reference]:
    """Yield every published training of such a network: on this data set, or else on its paper's own."""
    if model.family == "reference":
        return  # the papers print figures for these, but did not train them
    on_imagenet = model.image_size is not None
    found = published(model, dataset) or published(model, "imagenet" if on_imagenet else "cifar10")
    sources = {model.source or "", *(figure.source for figure in (found.errors if found else ()))}
    if any(source.startswith(HE_2015) for source in sources):
        yield from _he_2015_imagenet(model) if on_imagenet else _he_2015_cifar(model)
    if any(source.startswith(HE_2016) for source in sources):
        yield from _he_2016_imagenet() if on_imagenet else _he_2016_cifar(model, dataset)


def _he_2015_cifar(model: ModelSpec) -> Iterator[Reference]:
    warmed = model.axes["depth"] == 110 and model.axes["shortcut"] != "plain"
    yield Reference(
        source=f"{HE_2015}, section 4.2",
        recipe=RECIPES["he2015-cifar-110" if warmed else "he2015-cifar"],
        dataset="cifar10",
        normalization="pixel-mean",
        norm_images=64,
    )


def _he_2016_cifar(model: ModelSpec, dataset: str) -> Iterator[Reference]:
    own = dataset if dataset in ("cifar10", "cifar100") else "cifar10"
    yield Reference(
        source=f"{HE_2016}, appendix",
        recipe=RECIPES["he2016-cifar"],
        dataset=own,
        normalization="pixel-mean",
        norm_images=64,
    )
    if model.axes["depth"] == 1001 and model.axes["activation"] == "full_preact" and own == "cifar10":
        yield Reference(
            source=f"{HE_2016}, Table 4, batches of 64 (released code)",
            recipe=RECIPES["he2016-cifar-64"],
            dataset=own,
            normalization="channel",
            norm_images=32,
        )


def _he_2015_imagenet(model: ModelSpec) -> Iterator[Reference]:
    for evaluation, where in (("10-crop", "Tables 2 and 3"), ("multi-scale", "Table 4"), ("single-crop", "released")):
        yield Reference(
            source=f"{HE_2015}, {where}",
            recipe=RECIPES["he2015-imagenet"].changed(evaluation=evaluation),
            dataset="imagenet",
            normalization="pixel-mean",
            norm_images=None,
            unprinted=("plateau_epochs", "plateau_points"),
        )
    if model.axes.get("depth") == 50 and model.axes.get("stride_in") == "3x3":
        yield Reference(
            source=f"{GOYAL_2017}, section 5.1",
            recipe=RECIPES["goyal2017-imagenet"],
            dataset="imagenet",
            normalization="channel",
            norm_images=32,
        )


def _he_2016_imagenet() -> Iterator[Reference]:
    yield Reference(
        source=f"{HE_2016}, Table 5",
        recipe=RECIPES["he2016-imagenet"],
        dataset="imagenet",
        normalization="pixel-mean",
        norm_images=32,
        unprinted=("length",),
        printed={"evaluation": "single crop of 320 px"},
    )


def _deviations(trial: Trial, reference: Reference) -> Iterator[Deviation]:
    yield from _data_deviations(trial, reference)
    theirs, ours = (_settings(recipe) for recipe in (reference.recipe, trial.recipe))
    theirs |= reference.printed
    for name in _relevant(trial.recipe, reference):
        if name in reference.unprinted:
            yield Deviation(name=f"recipe.{name}", published=None, used=ours[name])
        elif theirs[name] != ours[name]:
            yield Deviation(name=f"recipe.{name}", published=theirs[name], used=ours[name])
    share = trial.recipe.batch_size // trial.scale.workers
    norm_images = min(share, trial.recipe.micro_batch_size or share)
    if reference.norm_images not in (None, norm_images):
        yield Deviation(
            name="images behind a batch-norm statistic",
            published=str(reference.norm_images),
            used=str(norm_images),
        )


def _data_deviations(trial: Trial, reference: Reference) -> Iterator[Deviation]:
    name = trial.dataset.name
    if name != reference.dataset:
        yield Deviation(name="dataset.name", published=reference.dataset, used=name)
    identity = trial.dataset.identity()
    # ImageNet's photographs have no mean per pixel: they are normalized by channel.
    normalization = str(identity.pop("normalize", "channel"))
    if normalization != reference.normalization:
        yield Deviation(name="dataset.normalize", published=reference.normalization, used=normalization)
    if name == reference.dataset:
        standard = DATASETS[name]().identity()
        for option, value in identity.items():
            if value != standard[option]:
                yield Deviation(name=f"dataset.{option}", published=_text(standard[option]), used=_text(value))


_NOT_COMPARED = {
    "epochs",
    "iterations",
    "channels_last",
    "compile",
    "cuda_graphs",
    "fused_optimizer",
    "micro_batch_size",
}
"""Settings that are not compared: length is compared as one, no paper sets how a step is computed, and `norm_images`
covers micro-batches.
"""


def _relevant(recipe: Recipe, reference: Reference) -> list[str]:
    """Return the settings to compare. Settings of a schedule are compared only if one of the two has that schedule."""
    names = ["length", *(one.name for one in dataclasses.fields(Recipe) if one.name not in _NOT_COMPARED)]
    if reference.recipe.lr_scaling_images is not None:
        names.remove("batch_size")  # the rule is published for all batch sizes
    if "steps" not in (recipe.schedule, reference.recipe.schedule):
        names = [name for name in names if not name.startswith("lr_drop_") or name == "lr_drop_factor"]
    if "plateau" not in (recipe.schedule, reference.recipe.schedule) or recipe.schedule != reference.recipe.schedule:
        names = [name for name in names if not name.startswith("plateau_")]
    if recipe.schedule in ("constant", "linear"):
        names.remove("lr_drop_factor")
    return names


def _settings(recipe: Recipe) -> dict[str, str]:
    values = {one.name: _text(getattr(recipe, one.name)) for one in dataclasses.fields(Recipe)}
    length = f"{recipe.iterations} iterations" if recipe.epochs is None else f"{recipe.epochs} epochs"
    return {**values, "length": length}


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_text, value)) or "none"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
