"""Steps with and without real batches, and with and without the other workers: see `harness.measure.parts`."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable
from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.engine.batches import Batches, one_batch, real_batches
from harness.engine.context import TrialContext
from harness.engine.distributed import any_rank, gathered
from harness.engine.interrupts import Watch
from harness.engine.step import Stepper
from harness.engine.timing import step_clock
from harness.measure.parts import Rounds
from harness.trial import Trial
from workloads.datasets.spec import LoadedDataset

ROUNDS = 12
"""Number of rounds, which form six pairs. A machine's speed drifts, so fewer pairs would give a very wide interval."""
LEAD_IN_STEPS = 2
"""Untimed steps before the timed ones of each variant. They use up batches that were ready before, and let kernels be
chosen."""
FEWEST_STEPS = 3
STEPS_OF_TRIAL = 60
"""Divisor of the trial's steps that gives the number of timed steps of each variant in each round."""


@dataclasses.dataclass(frozen=True)
class _Variant:
    """One way to take steps, and the batches for it."""

    batches: Callable[[int], Batches]
    """Function from a round's number to fresh batches."""
    step: Callable[[Tensor, Tensor], None]
    segments: int
    """Timed segments of a step: 1, or one each for forward and backward of every part, and one for the optimizer."""


class StepBreakdown:
    """Timed rounds of one trial, whose whole step is already built."""

    def __init__(
        self, trial: Trial, context: TrialContext, data: LoadedDataset, module: nn.Module, whole: Stepper, watch: Watch
    ) -> None:
        """Build the step that works without the other ranks.

        `module` is the network that `whole` trains. Alone, each rank trains a copy of it, which no other rank waits
        for.
        """
        self._trial, self._context, self._data, self._watch = trial, context, data, watch
        self._clock = step_clock(context.device, context.clock)
        self._whole = whole
        self._lr = trial.schedule.lr_at(0)
        parallel = context.world_size > 1
        self._alone = Stepper(
            copy.deepcopy(module) if parallel else module,
            trial.recipe,
            dataclasses.replace(context, rank=0, world_size=1),
            passed=lambda _phase: self._clock.lap(),
        )
        self._steps = max(FEWEST_STEPS, trial.schedule.steps // STEPS_OF_TRIAL)

    def rounds(self) -> Rounds:
        """Time every variant in every round. Every second round goes backwards, so none is always the first."""
        variants = self._variants()
        seconds_of: dict[str, list[Tensor]] = {name: [] for name in variants}
        for number in range(ROUNDS):
            names = list(variants)
            for name in names if number % 2 == 0 else reversed(names):
                seconds_of[name].append(self._time(variants[name], number))
        seconds = {name: self._gather_ranks(torch.stack(rounds)) for name, rounds in seconds_of.items()}
        return Rounds(
            compute=seconds["compute"].sum(axis=-1),
            data=seconds["data"].sum(axis=-1),
            whole=seconds["whole"].sum(axis=-1) if "whole" in seconds else None,
            phases=seconds["compute"],
        )

    def _variants(self) -> dict[str, _Variant]:
        trial, context = self._trial, self._context

        def real(number: int) -> Batches:
            return real_batches(self._data, trial, context, first_epoch=number)

        share = trial.recipe.batch_size // context.world_size
        parts = math.ceil(share / min(trial.recipe.micro_batch_size or share, share))
        segments = 2 * parts + 1
        variants = {
            "compute": _Variant(lambda _number: one_batch(trial, context), self._step_alone, segments),
            "data": _Variant(real, self._step_alone, segments),
        }
        return variants if context.world_size == 1 else variants | {"whole": _Variant(real, self._step_together, 1)}

    def _step_alone(self, images: Tensor, labels: Tensor) -> None:
        self._alone.step(images, labels, lr=self._lr)
        self._watch.step_done_alone()

    def _step_together(self, images: Tensor, labels: Tensor) -> None:
        self._whole.step(images, labels, lr=self._lr)
        self._clock.lap()
        self._watch.step_done_alone()

    def _time(self, variant: _Variant, number: int) -> Tensor:
        """Return the seconds of this rank's timed steps, float64 [steps, phases] or [steps, 1].

        All ranks begin together.
        """
        self._watch.act_on_interrupts()
        with closing(variant.batches(number)) as batches:
            self._clock.start()  # the lead-in steps are clocked too, and then thrown away
            for images, labels in itertools.islice(batches, LEAD_IN_STEPS):
                variant.step(images, labels)
            any_rank([False], self._context.world_size, self._context.device)
            self._clock.take()
            self._clock.start()
            for images, labels in itertools.islice(batches, self._steps):
                variant.step(images, labels)
        return _by_phase(torch.tensor(self._clock.take(), dtype=torch.float64).view(self._steps, variant.segments))

    def _gather_ranks(self, seconds: Tensor) -> NDArray[np.float64]:
        """Return [rounds, ranks, steps, phases] from this rank's [rounds, steps, phases]."""
        by_rank: NDArray[np.float64] = gathered(seconds, self._context.world_size, self._context.device).numpy()
        return by_rank.swapaxes(0, 1)


def _by_phase(segments: Tensor) -> Tensor:
    """Return forward, backward and optimizer [steps, 3] from segments in which forward and backward alternate."""
    if segments.shape[1] == 1:
        return segments
    return torch.stack([segments[:, :-1:2].sum(dim=1), segments[:, 1:-1:2].sum(dim=1), segments[:, -1]], dim=1)
