"""Recipes: how a network is trained, as frozen data. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Optimizer, schedule, batch, augmentation and precision. Every field can be overridden in a workload file."""

    epochs: int
    batch_size: int
    """Images a step over all workers."""
    lr: float
    """Highest learning rate."""
    schedule: Literal["constant", "linear"] = "linear"
    """After the warm-up: constant, or linear from `lr` to zero, which the step after the last one would have."""
    warmup_fraction: float = 0.0
    """Share of all steps in which the rate climbs linearly from zero to `lr`, reached at the last of them."""
    momentum: float = 0.9
    weight_decay: float = 1e-4
    """On all parameters, as in the papers."""
    augmentation: Literal["none", "crop-flip"] = "none"
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        _check(self.epochs >= 1, f"epochs is {self.epochs}; it must be at least 1")
        _check(self.batch_size >= 1, f"batch_size is {self.batch_size}; it must be at least 1")
        _check(self.lr > 0, f"lr is {self.lr}; it must be above 0")
        _check(0 <= self.warmup_fraction < 1, f"warmup_fraction is {self.warmup_fraction}; it must be in [0, 1)")
        _check(0 <= self.momentum < 1, f"momentum is {self.momentum}; it must be in [0, 1)")
        _check(self.weight_decay >= 0, f"weight_decay is {self.weight_decay}; it must not be negative")

    def lr_at(self, step: int, steps: int) -> float:
        """The learning rate of one step, counted from 0, of `steps` in all."""
        warmup = round(self.warmup_fraction * steps)
        if step < warmup:
            return self.lr * (step + 1) / warmup
        if self.schedule == "constant":
            return self.lr
        return self.lr * (steps - step) / (steps - warmup)


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


RECIPES: dict[str, Recipe] = {
    "quick": Recipe(epochs=12, batch_size=64, lr=0.1, schedule="linear", warmup_fraction=0.25),
}
