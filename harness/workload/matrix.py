"""From a workload to its trials: the product of its alternatives, each with a label that distinguishes it.

Pure: nothing is read and no large package is imported. The order is the workload's own: models as written, then data
sets, recipes and scales, seeds innermost.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.errors import WorkloadError
from harness.trial import Trial
from harness.workload.fit import NetworkCell
from harness.workload.load import Workload
from models.spec import ModelSpec
from workloads.datasets.spec import DatasetSpec
from workloads.recipes import RECIPES, Recipe


def expand(workload: Workload, fingerprints: Mapping[DatasetSpec, str]) -> tuple[Trial, ...]:
    """Return every trial of a workload.

    Args:
        workload: the workload to expand.
        fingerprints: each data set's digest, as `harness.workload.load.fingerprints` reads it.

    Raises:
        WorkloadError: two cells differ only in a setting that does not affect the result.
    """
    labels = _labels(workload)
    scale_labels = _differences(workload.scales)
    trials = tuple(
        Trial(
            model=cell.model,
            dataset=cell.dataset,
            recipe=cell.recipe,
            scale=scale,
            seed=seed,
            fingerprint=fingerprints[cell.dataset],
            label=f"{labels[cell]} {scale_labels[scale]}".rstrip(),
            keep_weights=workload.keep == "weights",
            measure=workload.measure,
            machine=workload.machines.get(scale.device),
        )
        for cell, scale in itertools.product(workload.cells, workload.scales)
        for seed in workload.seeds
    )
    _check_distinct(workload, trials)
    return trials


def sweep_id(name: str, trials: Iterable[Trial], nonce: str = "") -> str:
    """Return 16 hexadecimal digits: the same workload name with the same trials is the same sweep.

    Args:
        name: the workload's name.
        trials: all trials of the sweep, in any order.
        nonce: a new text makes a fresh sweep of the same trials.
    """
    text = json.dumps([name, sorted(trial.id for trial in trials), nonce])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sweep_name(name: str, identity: str) -> str:
    """Return the sweep's readable, unique name, for its folder and its MLflow run. `identity` is its `sweep_id`."""
    return f"{name[:119]}-{identity[:8]}"


def _labels(workload: Workload) -> dict[NetworkCell, str]:
    """Return short labels for cells. Data set and recipe are named only if the sweep has more than one."""
    models, datasets = _model_labels(workload.models), _dataset_labels(workload.datasets)
    recipes_of: dict[tuple[ModelSpec, DatasetSpec], tuple[Recipe, ...]] = {}
    for cell in workload.cells:
        recipes_of[cell[:2]] = (*recipes_of.get(cell[:2], ()), cell.recipe)
    recipes = {alternatives: _recipe_labels(alternatives) for alternatives in set(recipes_of.values())}
    return {
        cell: " ".join(
            filter(None, (models[cell.model], datasets[cell.dataset], recipes[recipes_of[cell[:2]]][cell.recipe]))
        )
        for cell in workload.cells
    }


def _dataset_labels(datasets: Sequence[DatasetSpec]) -> dict[DatasetSpec, str]:
    names = dict.fromkeys(spec.name for spec in datasets)
    labels = {}
    for name in names:
        for spec, text in _differences([spec for spec in datasets if spec.name == name]).items():
            labels[spec] = f"{name if len(names) > 1 else ''} {text}".strip()
    return labels


def _recipe_labels(recipes: Sequence[Recipe]) -> dict[Recipe, str]:
    """Return the names of one network's recipes if all have one, or else the settings in which they differ."""
    names = {recipe: name for name, recipe in RECIPES.items()}
    if len(recipes) > 1 and all(recipe in names for recipe in recipes):
        return {recipe: names[recipe] for recipe in recipes}
    return _differences(recipes)


def _model_labels(models: Sequence[ModelSpec]) -> dict[ModelSpec, str]:
    """Return the models' own labels; models that share one also get the settings in which they differ."""
    labels = {}
    for label, group in itertools.groupby(sorted(models, key=_label), key=_label):
        labels.update({spec: f"{label} {text}".strip() for spec, text in _differences(list(group)).items()})
    return labels


def _label(spec: ModelSpec) -> str:
    return spec.label


def _differences(specs: Sequence[Any]) -> dict[Any, str]:
    """Return for each specification the fields in which they are not all alike: `lr=0.1 epochs=12`."""
    fields = {spec: {field.name: getattr(spec, field.name) for field in dataclasses.fields(spec)} for spec in specs}
    names = dict.fromkeys(name for values in fields.values() for name in values)
    varying = [name for name in names if len({repr(values.get(name)) for values in fields.values()}) > 1]
    return {
        spec: " ".join(f"{name}={_short(values[name])}" for name in varying if name in values)
        for spec, values in fields.items()
    }


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).replace(" ", "")


def _check_distinct(workload: Workload, trials: Sequence[Trial]) -> None:
    seen: dict[str, Trial] = {}
    for trial in trials:
        other = seen.setdefault(trial.id, trial)
        if other is not trial:
            raise WorkloadError(
                f"{workload.file}: '{other.name}' and '{trial.name}' are the same trial: what differs between them "
                "decides no result and cannot be an axis; give it one value"
            )
