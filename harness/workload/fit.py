"""The check whether the parts of a workload fit each other, before any data file is read. Imports no torch."""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.trial import Scale
from harness.workload.source import KeyPath, Mistakes
from models.spec import ModelSpec
from workloads.datasets.spec import DatasetSpec, check_share
from workloads.recipes import Recipe
from workloads.schedule import Schedule


class NetworkCell(NamedTuple):
    """A network with its data set and recipe."""

    model: ModelSpec
    dataset: DatasetSpec
    recipe: Recipe


def check_fit(
    cells: Sequence[NetworkCell], scales: Sequence[Scale], key_paths: Mapping[Recipe, KeyPath], mistakes: Mistakes
) -> None:
    """Note each combination that cannot be trained, once, at the setting of the recipe that causes it.

    Args:
        cells: all cells of a workload.
        scales: scales on which each cell is trained.
        key_paths: key path of each recipe in the file.
        mistakes: collects the mistakes.
    """
    recipes = dict.fromkeys(cell.recipe for cell in cells)
    checks: tuple[tuple[Callable[[Any, Any], object], Iterable[tuple[Recipe, Any]]], ...] = (
        (_check_schedule, [(cell.recipe, cell.dataset) for cell in cells]),
        (_check_augmentation, [(cell.recipe, cell.dataset) for cell in cells]),
        (_check_model, [(cell.recipe, cell.model) for cell in cells]),
        (_check_scale, itertools.product(recipes, scales)),
    )
    for check, pairs in checks:
        for recipe, other in dict.fromkeys(pairs):
            try:
                check(recipe, other)
            except ValueError as error:
                mistakes.add((*key_paths[recipe], *_blamed(str(error))), str(error))


FEWEST_TIMED, MOST_TIMED = 20, 10_000
"""Bounds of a timing trial's steps: fewer give no interval, and more are probably the length of a training."""


def check_timed(cells: Sequence[NetworkCell], key_paths: Mapping[Recipe, KeyPath], mistakes: Mistakes) -> None:
    """Note the recipes whose number of steps is unsuitable for timing. The arguments are those of `check_fit`."""
    for recipe, dataset in dict.fromkeys((cell.recipe, cell.dataset) for cell in cells):
        try:
            steps = Schedule.of(recipe, dataset.train_images).steps
        except (OSError, ValueError):
            continue  # noted already, or the files to count are missing
        if not FEWEST_TIMED <= steps <= MOST_TIMED:
            unit = "epochs" if recipe.iterations is None else "iterations"
            message = (
                f"{unit} is {getattr(recipe, unit)}, {steps:,} steps: measure: throughput times every one of them, "
                f"and takes {FEWEST_TIMED} to {MOST_TIMED:,}; give iterations"
            )
            mistakes.add((*key_paths[recipe], unit), message)


def _check_schedule(recipe: Recipe, dataset: DatasetSpec) -> None:
    try:
        train_images = dataset.train_images
    except (OSError, ValueError):
        return  # the files to count are missing: `fingerprints` reports it
    Schedule.of(recipe, train_images)


def _check_augmentation(recipe: Recipe, dataset: DatasetSpec) -> None:
    if recipe.augmentation not in dataset.augmentations:
        raise ValueError(
            f"augmentation {recipe.augmentation} does not fit {dataset.name}, which takes "
            f"{', '.join(dataset.augmentations)}"
        )


def _check_scale(recipe: Recipe, scale: Scale) -> None:
    share = check_share(recipe.batch_size, scale.workers)
    micro = recipe.micro_batch_size
    if micro is not None and share % micro and micro < share:
        raise ValueError(
            f"micro_batch_size {micro} does not divide the {share} images that each of {scale.workers} workers has of "
            f"a batch of {recipe.batch_size}"
        )
    if recipe.precision == "tf32" and scale.device == "cpu":
        raise ValueError("precision tf32 needs a GPU, and the scale's device is cpu")
    if recipe.cuda_graphs and scale.device == "cpu":
        raise ValueError("cuda_graphs needs a GPU, and the scale's device is cpu")


def _check_model(recipe: Recipe, model: ModelSpec) -> None:
    if recipe.zero_gamma and not model.branches_end_in_norm:
        raise ValueError(
            f"zero_gamma does not fit {model.label}: it has no residual branches that end in batch norm, so there is "
            "no scale that could start at 0 (Goyal 2017, section 5.1)"
        )
    if recipe.evaluation == "multi-scale" and not model.takes_any_size:
        raise ValueError(f"evaluation multi-scale does not fit {model.label}: it takes images of one size; use another")


def _blamed(message: str) -> KeyPath:
    """Return the setting of the recipe that a message names first."""
    names = {field.name for field in dataclasses.fields(Recipe)}
    return [word for word in re.findall(r"\w+", message) if word in names][:1]
