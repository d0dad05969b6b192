"""The learning rate of every step, as a pure function of the step and of a small state. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property

from workloads.datasets.spec import steps_per_epoch
from workloads.recipes import Recipe

WARMUP_CHECK_STEPS = 20
"""Steps whose training error decides whether an error-triggered warm-up is over: some 2,500 images, 0.8 points."""


@dataclass(frozen=True, kw_only=True)
class ScheduleState:
    """The part of the training's history on which the rates depend, besides the step."""

    warm_from: int | None = None
    """The first step after an error-triggered warm-up; None while it lasts."""
    drops: int = 0
    """Number of plateaus so far."""
    best_error_pct: float = math.inf
    """The best training error, in percent, with which the next epochs are compared."""
    stale_epochs: int = 0
    """Epochs since the best training error."""


START = ScheduleState()


@dataclass(frozen=True)
class Schedule:
    """A recipe on a data set. Steps are counted from 0.

    Raises:
        ValueError: a drop or the end of the warm-up lies after the end of the training, or a drop in the warm-up.
    """

    recipe: Recipe
    steps_per_epoch: int

    def __post_init__(self) -> None:
        last, unit = max(self.drops, default=0), "epochs" if self.recipe.lr_drop_epochs else "iterations"
        field = f"lr_drop_{unit}"
        if last >= self.steps:
            raise ValueError(
                f"{field} is {list(getattr(self.recipe, field))}, but the training ends after {self._length}: "
                "a drop at its end or later never comes"
            )
        if self.warmup_steps >= self.steps:
            raise ValueError(f"{self._warmup} is as long as the training or longer, which ends after {self._length}")
        if self.drops and self.warmup_steps > self.drops[0]:
            raise ValueError(f"{self._warmup} ends after the first drop of {field}, at step {self.drops[0]}")

    @classmethod
    def of(cls, recipe: Recipe, train_images: int) -> Schedule:
        """Make the schedule of a recipe for this many training images.

        Raises:
            ValueError: as for the class, or the images are fewer than one batch.
        """
        return cls(recipe, steps_per_epoch(train_images, recipe.batch_size))

    @cached_property
    def steps(self) -> int:
        """Steps of the whole training."""
        if self.recipe.iterations is not None:
            return self.recipe.iterations
        assert self.recipe.epochs is not None
        return self.recipe.epochs * self.steps_per_epoch

    @property
    def epochs(self) -> int:
        """Epochs of the whole training; the last one may be incomplete."""
        return math.ceil(self.steps / self.steps_per_epoch)

    def steps_in(self, epoch: int) -> int:
        """Return the steps of one epoch; epochs are counted from 0."""
        return min(self.steps_per_epoch, self.steps - epoch * self.steps_per_epoch)

    @cached_property
    def peak_lr(self) -> float:
        """The highest rate: the recipe's, with the linear scaling rule if it has one (Goyal 2017, section 2.1)."""
        images = self.recipe.lr_scaling_images
        return self.recipe.lr if images is None else self.recipe.lr * self.recipe.batch_size / images

    @cached_property
    def warmup_steps(self) -> int:
        """Steps of a warm-up with a known length; 0 without one."""
        if self.recipe.warmup_fraction:
            return round(self.recipe.warmup_fraction * self.steps)
        return self.recipe.warmup_iterations or self.recipe.warmup_epochs * self.steps_per_epoch

    @cached_property
    def drops(self) -> tuple[int, ...]:
        """First steps after each fixed drop."""
        in_epochs = tuple(epoch * self.steps_per_epoch for epoch in self.recipe.lr_drop_epochs)
        return in_epochs or self.recipe.lr_drop_iterations

    def lr_at(self, step: int, state: ScheduleState = START) -> float:
        """Return the learning rate of a step."""
        if self._is_warming(step, state):
            return self._warmup_lr(step) * self._dropped(step, state)
        if self.recipe.schedule == "linear":
            return self.peak_lr * (self.steps - step) / (self.steps - self.warmup_steps)
        return self.peak_lr * self._dropped(step, state)

    def waits_for_error(self, state: ScheduleState) -> bool:
        """Return whether the warm-up waits for a training error that is not low enough yet."""
        return self.recipe.warmup_until_error_pct is not None and state.warm_from is None

    def check_warmup(self, state: ScheduleState, *, step: int, error_pct: float) -> ScheduleState:
        """Return the state before `step`, given the training error over the last `WARMUP_CHECK_STEPS` steps."""
        until = self.recipe.warmup_until_error_pct
        if until is None or state.warm_from is not None or error_pct >= until:
            return state
        return dataclasses.replace(state, warm_from=step)

    def after_epoch(self, state: ScheduleState, *, error_pct: float) -> ScheduleState:
        """Return the state after an epoch with this training error, counted while training."""
        if self.recipe.schedule != "plateau" or self.waits_for_error(state):
            return state
        if error_pct < state.best_error_pct - self.recipe.plateau_points:
            return dataclasses.replace(state, best_error_pct=error_pct, stale_epochs=0)
        if state.stale_epochs + 1 < self.recipe.plateau_epochs:
            return dataclasses.replace(state, stale_epochs=state.stale_epochs + 1)
        return dataclasses.replace(state, drops=state.drops + 1, stale_epochs=0)

    def _is_warming(self, step: int, state: ScheduleState) -> bool:
        return step < self.warmup_steps or self.waits_for_error(state)

    def _warmup_lr(self, step: int) -> float:
        start = self.recipe.warmup_lr
        if start is None:
            return self.peak_lr * (step + 1) / self.warmup_steps
        if self.recipe.warmup_shape == "hold":
            return start
        start = min(start, self.peak_lr)  # the scaling rule may put the peak below it
        return start + (self.peak_lr - start) * step / self.warmup_steps

    def _dropped(self, step: int, state: ScheduleState) -> float:
        count = state.drops + sum(step >= drop for drop in self.drops)
        return self.recipe.lr_drop_factor**count

    @property
    def _length(self) -> str:
        if self.recipe.epochs is not None:
            return f"{self.recipe.epochs} epochs, {self.steps} iterations"
        return f"{self.steps} iterations"

    @property
    def _warmup(self) -> str:
        names = ("warmup_fraction", "warmup_epochs", "warmup_iterations")
        name = next(name for name in names if getattr(self.recipe, name))
        return f"{name} {getattr(self.recipe, name)}"
