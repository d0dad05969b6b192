"""Trials that nobody runs, for queues, and a clock that stands still."""

from __future__ import annotations

from dataclasses import replace

from harness.scheduling.types import Job, Shape
from harness.trial import Scale, Trial
from models import MODELS
from workloads.datasets import DATASETS
from workloads.recipes import RECIPES

ONE = Shape(workers=1, device="cpu", cpus_per_worker=1, gpus_per_worker=0.0)
TWO = replace(ONE, workers=2)


def a_trial(depth: int = 8, seed: int = 0) -> Trial:
    return Trial(
        model=MODELS["resnet_cifar"](depth=depth),
        dataset=DATASETS["digits"](),
        recipe=RECIPES["quick"],
        scale=Scale(),
        seed=seed,
        fingerprint="f",
        label=f"resnet-{depth}",
    )


def jobs(*trials: Trial, shape: Shape = ONE) -> list[Job]:
    return [Job(trial=trial, shape=shape, cost=float(trial.model.depth)) for trial in trials]  # type: ignore[attr-defined]


class Clock:
    """A clock that stands still unless the test advances it."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s
