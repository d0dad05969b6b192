"""From a workload to its trials: the product of its alternatives, each with a label that tells it from the others.

Pure: nothing is read, nothing heavy is imported. The order is the workload's own: models as written, then data sets,
recipes and scales, seeds innermost.
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
from harness.workload import Workload
from models.spec import ModelSpec
from workloads.datasets import DATASETS
from workloads.datasets.spec import DatasetSpec


def expand(workload: Workload, fingerprints: Mapping[DatasetSpec, str]) -> tuple[Trial, ...]:
    """Every trial of a workload.

    Args:
        workload: what to expand.
        fingerprints: each data set's digest, as `harness.workload.fingerprints` reads it.

    Raises:
        WorkloadError: two cells differ only in a setting that decides no result.
    """
    labels = _labels(workload)
    trials = tuple(
        Trial(
            model=model,
            dataset=dataset,
            recipe=recipe,
            scale=scale,
            seed=seed,
            fingerprint=fingerprints[dataset],
            label=" ".join(filter(None, (labels[part] for part in (model, dataset, recipe, scale)))),
        )
        for model, dataset, recipe, scale in itertools.product(
            workload.models, workload.datasets, workload.recipes, workload.scales
        )
        for seed in workload.seeds
    )
    _check_distinct(workload, trials)
    return trials


def sweep_id(name: str, trials: Iterable[Trial], nonce: str = "") -> str:
    """16 hexadecimal digits: the same workload name with the same trials is the same sweep.

    Args:
        name: the workload's.
        trials: all of the sweep, in any order.
        nonce: something that never came before makes a fresh sweep of the same trials.
    """
    text = json.dumps([name, sorted(trial.id for trial in trials), nonce])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sweep_name(name: str, identity: str) -> str:
    """The sweep's readable, unique name: names its folder and its MLflow run. `identity` is its `sweep_id`."""
    return f"{name[:119]}-{identity[:8]}"


def _labels(workload: Workload) -> dict[Any, str]:
    """What each alternative adds to the label of its cells: nothing where there is no other."""
    names = {kind: name for name, kind in DATASETS.items()}
    datasets = {
        spec: names[type(spec)] if len({*map(type, workload.datasets)}) > 1 else "" for spec in workload.datasets
    }
    return {
        **_model_labels(workload.models),
        **{spec: f"{datasets[spec]} {text}".strip() for spec, text in _differences(workload.datasets).items()},
        **_differences(workload.recipes),
        **_differences(workload.scales),
    }


def _model_labels(models: Sequence[ModelSpec]) -> dict[ModelSpec, str]:
    """The models' own labels; where two share one, with what tells them apart."""
    labels = {}
    for label, group in itertools.groupby(sorted(models, key=_label), key=_label):
        labels.update({spec: f"{label} {text}".strip() for spec, text in _differences(list(group)).items()})
    return labels


def _label(spec: ModelSpec) -> str:
    return spec.label


def _differences(specs: Sequence[Any]) -> dict[Any, str]:
    """For each of some settings, the fields in which they are not all alike: `lr=0.1 epochs=12`."""
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
