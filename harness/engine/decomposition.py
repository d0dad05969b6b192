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
LEAD_STEPS = 2
"""Untimed steps before the timed ones of each way: they use up batches that were ready before, and kernels are
chosen."""
FEWEST_STEPS = 3
STEPS_OF_TRIAL = 60
"""Divisor of the trial's steps that gives the number of timed steps of each way in each round."""


@dataclasses.dataclass(frozen=True)
class _Way:
    """One way to take steps."""

    batches: Callable[[int], Batches]
    """Function from a round's number to fresh batches."""
    step: Callable[[Tensor, Tensor], None]
    laps: int
    """Laps of a step: 1, or one each for forward and backward of every part, and one for the optimizer."""


class Decomposition:
    """Timed rounds of one trial, whose whole step is already built."""

    def __init__(
        self, trial: Trial, context: TrialContext, data: LoadedDataset, module: nn.Module, whole: Stepper, watch: Watch
    ) -> None:
        """Build the step that works without the other ranks.

        `module` is the network that `whole` trains. Alone, each rank trains a copy of it, which no other rank waits
        for.
        """
        self._trial, self._context, self._data, self._watch = trial, context, data, watch
        self._clock = step_clock(context.device)
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
        """Time every way in every round, alternately forwards and backwards, so that no way is always the first."""
        ways = self._ways()
        found: dict[str, list[Tensor]] = {name: [] for name in ways}
        for number in range(ROUNDS):
            names = list(ways)
            for name in names if number % 2 == 0 else reversed(names):
                found[name].append(self._time(ways[name], number))
        seconds = {name: self._of_all_ranks(torch.stack(rounds)) for name, rounds in found.items()}
        return Rounds(
            compute=seconds["compute"].sum(axis=-1),
            data=seconds["data"].sum(axis=-1),
            whole=seconds["whole"].sum(axis=-1) if "whole" in seconds else None,
            phases=seconds["compute"],
        )

    def _ways(self) -> dict[str, _Way]:
        trial, context = self._trial, self._context

        def real(number: int) -> Batches:
            return real_batches(self._data, trial, context, first_epoch=number)

        share = trial.recipe.batch_size // context.world_size
        parts = math.ceil(share / min(trial.recipe.micro_batch_size or share, share))
        laps = 2 * parts + 1
        ways = {
            "compute": _Way(lambda _number: one_batch(trial, context), self._step_alone, laps),
            "data": _Way(real, self._step_alone, laps),
        }
        return ways if context.world_size == 1 else ways | {"whole": _Way(real, self._step_together, 1)}

    def _step_alone(self, images: Tensor, labels: Tensor) -> None:
        self._alone.step(images, labels, lr=self._lr)
        self._watch.step_done_alone()

    def _step_together(self, images: Tensor, labels: Tensor) -> None:
        self._whole.step(images, labels, lr=self._lr)
        self._clock.lap()
        self._watch.step_done_alone()

    def _time(self, way: _Way, number: int) -> Tensor:
        """Return the seconds of this rank's timed steps, float64 [steps, phases] or [steps, 1].

        All ranks begin together.
        """
        self._watch.look()
        with closing(way.batches(number)) as batches:
            self._clock.start()  # the lead steps have laps too, which are thrown away
            for images, labels in itertools.islice(batches, LEAD_STEPS):
                way.step(images, labels)
            any_rank([False], self._context.world_size, self._context.device)
            self._clock.take()
            self._clock.start()
            for images, labels in itertools.islice(batches, self._steps):
                way.step(images, labels)
        return _by_phase(torch.tensor(self._clock.take(), dtype=torch.float64).view(self._steps, way.laps))

    def _of_all_ranks(self, seconds: Tensor) -> NDArray[np.float64]:
        """Return [rounds, ranks, steps, phases] from this rank's [rounds, steps, phases]."""
        found: NDArray[np.float64] = gathered(seconds, self._context.world_size, self._context.device).numpy()
        return found.swapaxes(0, 1)


def _by_phase(laps: Tensor) -> Tensor:
    """Return forward, backward and optimizer [steps, 3] from a step's laps, in which forward and backward alternate."""
    if laps.shape[1] == 1:
        return laps
    return torch.stack([laps[:, :-1:2].sum(dim=1), laps[:, 1:-1:2].sum(dim=1), laps[:, -1]], dim=1)
