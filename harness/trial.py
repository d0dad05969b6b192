"""A trial: one cell of the matrix with one seed, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal

from harness.schema import PROTOCOL
from models import MODELS
from models.spec import ModelSpec
from workloads.datasets import DATASETS
from workloads.datasets.spec import DatasetSpec
from workloads.recipes import Recipe
from workloads.schedule import Schedule

Scalar = str | int | float | bool | None
Measure = Literal["training", "throughput"]
"""What a trial is for: training trains and evaluates a network; throughput times its steps."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """On how much of a cluster a trial runs."""

    workers: int = 1
    """Processes in the worker group; each trains on its share of every global batch."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: cuda where the cluster has GPUs, else cpu."""
    cpus_per_worker: int = 1
    """Cores of each worker. On a CPU it computes with as many threads, and their number decides its numbers."""
    gpus_per_worker: float = 1.0
    """Where the device is cuda; a fraction shares a GPU between trials, of one worker each."""
    placement: Literal["pack", "spread"] = "pack"
    """The workers of a group on as few nodes as hold them, or on as many as there are."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a timing trial is timed on, beside what its scale says. None is what could not be found out."""

    device_name: str | None
    """As its driver calls the GPU; of a CPU the processor's. Several, joined by ` + `, where nodes differ."""
    torch: str | None
    cuda: str | None
    driver: str | None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """All that decides one result. Two trials are the same trial exactly when their ids are equal."""

    model: ModelSpec
    dataset: DatasetSpec
    recipe: Recipe
    scale: Scale
    seed: int
    fingerprint: str
    """Digest of the data set's files and split."""
    label: str
    """What tells this cell from the others of its sweep, for people: `resnet-20-A`. Not part of the id."""
    keep_weights: bool = False
    """Whether the final weights stay in the trial's folder. Not part of the id: it decides no result."""
    measure: Measure = "training"
    machine: Machine | None = None
    """Of a timing trial; None until it is settled."""

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits, from all that decides the result."""
        return _digest(self.settings())

    @cached_property
    def cell_id(self) -> str:
        """As `id`, the seed left out."""
        return _digest({key: value for key, value in self.settings().items() if key != "seed"})

    @cached_property
    def schedule(self) -> Schedule:
        """The recipe on this data set: how many steps, and each one's learning rate."""
        return Schedule.of(self.recipe, self.dataset.train_images)

    @property
    def train_images(self) -> int:
        """Images in all steps together."""
        return self.schedule.steps * self.recipe.batch_size

    @property
    def name(self) -> str:
        """Run name in MLflow and on the terminal."""
        return f"{self.label} seed {self.seed}"

    def settings(self) -> dict[str, Scalar]:
        """The resolved settings, flat: `model.depth`, `recipe.lr`, ...: MLflow's params and the digest's input.

        Which share of a GPU a worker gets, and where it runs, decides the speed alone: it is left out of training
        trials, and part of timing trials. So are the cores of a GPU's worker. On a CPU they are threads, and decide in
        which order numbers are added: there they are part of every trial.
        """
        return self._of_result() | self._of_threads() | (self._of_speed() if self.measure == "throughput" else {})

    def _of_threads(self) -> dict[str, Scalar]:
        return {"scale.cpus_per_worker": self.scale.cpus_per_worker} if self.scale.device == "cpu" else {}

    def _of_speed(self) -> dict[str, Scalar]:
        return {
            "measure": self.measure,
            "scale.cpus_per_worker": self.scale.cpus_per_worker,
            "scale.gpus_per_worker": self.scale.gpus_per_worker,
            "scale.placement": self.scale.placement,
            "machine.device_count": self._gpus,
            **(_flat("machine", asdict(self.machine)) if self.machine is not None else {}),
        }

    @property
    def _gpus(self) -> float | None:
        """All workers' together; None on CPUs, where a device is a host and the cluster decides how many take part."""
        return self.scale.workers * self.scale.gpus_per_worker if self.scale.device == "cuda" else None

    def _of_result(self) -> dict[str, Scalar]:
        return {
            "model.name": _name_of(self.model, MODELS),
            **_flat("model", asdict(self.model)),
            "dataset.name": _name_of(self.dataset, DATASETS),
            **_flat("dataset", self.dataset.identity()),
            "dataset.fingerprint": self.fingerprint,
            **_flat("recipe", asdict(self.recipe)),
            "scale.workers": self.scale.workers,
            "scale.device": self.scale.device,
            "seed": self.seed,
            "protocol": PROTOCOL,
        }

    def record(self) -> dict[str, Any]:
        """What the sweep's list of trials says of this one."""
        return {
            "id": self.id,
            "cell_id": self.cell_id,
            "label": self.label,
            "seed": self.seed,
            "settings": self.settings(),
            "dataset": self.dataset_record(),
        }

    def dataset_record(self) -> dict[str, Any]:
        """The data set as an input of the trial's run: what it is called with its options, its digest, where it lay."""
        spec, name = self.dataset, _name_of(self.dataset, DATASETS)
        defaults = {field.name: field.default for field in fields(spec)}
        options = [f"{key}={value}" for key, value in spec.identity().items() if value != defaults[key]]
        root = getattr(spec, "root", None)
        return {
            "name": " ".join([name, *options]),
            "digest": self.fingerprint,
            "root": root and re.sub("//[^/@]*@", "//", root),  # a URL may hold a password
            "origin": spec.origin,
            "profile": {
                key: getattr(spec, key) for key in ("train_images", "test_images", "classes", "channels", "image_size")
            },
        }


def _name_of(spec: object, registry: dict[str, Any]) -> str:
    return next(name for name, kind in registry.items() if kind is type(spec))


def _flat(prefix: str, fields: dict[str, Any]) -> dict[str, Scalar]:
    return {f"{prefix}.{key}": _scalar(value) for key, value in fields.items()}


def _scalar(value: Any) -> Scalar:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def _digest(settings: dict[str, Scalar]) -> str:
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
