"""A trial: one cell of the matrix with one seed, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, Literal

from harness.network import without_secrets
from harness.schema import PROTOCOL
from models.spec import ModelSpec
from workloads.datasets.spec import DatasetSpec
from workloads.recipes import Recipe
from workloads.schedule import Schedule

Scalar = str | int | float | bool | None
Measure = Literal["training", "throughput"]
"""The purpose of a trial: training trains and evaluates a network; throughput times its steps."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """The resources of the cluster that a trial uses."""

    workers: int = 1
    """Processes in the worker group; each trains on its share of every global batch."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: cuda if the cluster has GPUs, else cpu."""
    cpus_per_worker: int = 1
    """Cores of each worker. A worker on a CPU uses as many threads, and their number affects its results."""
    gpus_per_worker: float = 1.0
    """GPUs of each worker, if the device is cuda. A fraction shares a GPU between trials of one worker each."""
    placement: Literal["pack", "spread"] = "pack"
    """pack: the group's workers use as few nodes as possible. spread: they use as many as possible."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine that a timing trial runs on, beside its scale. None is an unknown value."""

    device_name: str | None
    """The driver's name of the GPU, or the name of the processor. If nodes differ, several names joined by ` + `."""
    torch: str | None
    cuda: str | None
    driver: str | None


@dataclass(frozen=True, kw_only=True)
class Trial:
    """All settings that determine one result. Two trials are the same exactly if their ids are equal."""

    model: ModelSpec
    dataset: DatasetSpec
    recipe: Recipe
    scale: Scale
    seed: int
    fingerprint: str
    """Digest of the data set's files and split."""
    label: str
    """Short name of this cell in its sweep, for people: `resnet-20-A`. Not part of the id."""
    keep_weights: bool = False
    """Whether the final weights stay in the trial's folder. Not part of the id: it does not affect the result."""
    measure: Measure = "training"
    machine: Machine | None = None
    """The machine of a timing trial, None until it is known. Training trials have none."""

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits of all settings that determine the result."""
        return _digest(self.settings())

    @cached_property
    def cell_id(self) -> str:
        """16 hexadecimal digits of the same settings as `id`, but without the seed."""
        return _digest({key: value for key, value in self.settings().items() if key != "seed"})

    @cached_property
    def schedule(self) -> Schedule:
        """The recipe's schedule on this data set: the number of steps and the learning rate of each."""
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
        """Return the resolved settings, flat: `model.depth`, `recipe.lr`, ...: MLflow's params and the digest's input.

        The share of a GPU and the placement of a worker affect only the speed: they are part of timing trials and not
        of training trials. The same holds for the cores of a GPU's worker. On a CPU, cores are threads and determine
        the order in which numbers are added: there they are part of every trial.
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
        """GPUs of all workers together. None on CPUs: there a device is a host, and the cluster decides how many."""
        return self.scale.workers * self.scale.gpus_per_worker if self.scale.device == "cuda" else None

    def _of_result(self) -> dict[str, Scalar]:
        return {
            "model.name": self.model.name,
            **_flat("model", asdict(self.model)),
            "dataset.name": self.dataset.name,
            **_flat("dataset", self.dataset.identity()),
            "dataset.fingerprint": self.fingerprint,
            **_flat("recipe", asdict(self.recipe)),
            "scale.workers": self.scale.workers,
            "scale.device": self.scale.device,
            "seed": self.seed,
            "protocol": PROTOCOL,
        }

    def record(self) -> dict[str, Any]:
        """Return the entry of this trial in the sweep's list of trials."""
        return {
            "id": self.id,
            "cell_id": self.cell_id,
            "label": self.label,
            "seed": self.seed,
            "settings": self.settings(),
            "dataset": self.dataset_record(),
        }

    def dataset_record(self) -> dict[str, Any]:
        """Return the data set as an input of the trial's run: its name with options, its digest, its location."""
        spec = self.dataset
        defaults = {field.name: field.default for field in fields(spec)}
        options = [f"{key}={value}" for key, value in spec.identity().items() if value != defaults[key]]
        root = getattr(spec, "root", None)
        return {
            "name": " ".join([spec.name, *options]),
            "digest": self.fingerprint,
            "root": root and without_secrets(root).replace("***@", ""),
            "origin": spec.origin,
            "profile": {
                key: getattr(spec, key) for key in ("train_images", "test_images", "classes", "channels", "image_size")
            },
        }


@dataclass(frozen=True, kw_only=True)
class AttemptSettings:
    """Settings of every attempt at a trial of a sweep. They do not change a result, so they are not part of an id."""

    timeout_s: float | None = None
    """Seconds that an attempt may take. The next one starts at its checkpoint with the full time, so each gets
    further."""
    checkpoint_every_s: float | None = None
    """Longest time between two checkpoints in seconds, also in the middle of an epoch."""
    checkpoint_every_steps: int | None = None
    """Steps between two checkpoints in the middle of an epoch, counted from the epoch's start."""
    checkpoint_interval_s: float = 5.0
    """Seconds after a checkpoint in which the end of an epoch writes no other, so that short trials lose no time."""


def _flat(prefix: str, fields: dict[str, Any]) -> dict[str, Scalar]:
    return {f"{prefix}.{key}": _scalar(value) for key, value in fields.items()}


def _scalar(value: Any) -> Scalar:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else value


def _digest(settings: dict[str, Scalar]) -> str:
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
