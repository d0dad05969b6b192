"""Records of each step: seconds, loss, errors. They stay on the device within an epoch, so that no step waits."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Iterator
from enum import IntEnum

import torch
from torch import Tensor

from harness.engine.step import StepOutput
from harness.engine.timing import step_clock


class Column(IntEnum):
    """Columns of a trial's history, float64 [steps, 4]."""

    SECONDS = 0
    LOSS = 1
    ERRORS = 2
    WARM = 3
    """1 if the step counts for speed, 0 if the process was still warming up."""


WARMUP_STEPS = 10
"""Number of steps after each start or resume that do not count for speed: caches fill, kernels are chosen, and graphs
are compiled."""


NO_HISTORY = torch.empty(0, len(Column), dtype=torch.float64)
_NO_STEPS = torch.empty(len(Column), 0, dtype=torch.float64)


class EpochRecord:
    """This rank's steps of the running epoch; one record serves a whole attempt, epoch after epoch."""

    def __init__(self, steps: int, device: torch.device, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = step_clock(device, clock)
        self.done = 0
        """Number of steps done in the epoch."""
        self._losses = torch.zeros(steps, device=device)
        self._errors = torch.zeros(steps, dtype=torch.int64, device=device)
        self._read_out = _NO_STEPS
        self._attempt_steps = 0

    def begin(self, read_out: Tensor | None = None) -> None:
        """Begin a new epoch, or the rest of one whose earlier rows [4, steps] are given."""
        self._read_out = _NO_STEPS if read_out is None else read_out
        self.done = self._read_out.shape[1]
        self._errors[: self.done] = self._read_out[Column.ERRORS].to(self._errors)

    def add(self, output: StepOutput) -> None:
        """Add one step's mean loss and its errors."""
        self._losses[self.done] = output.loss
        self._errors[self.done] = output.errors
        self.clock.lap()
        self.done += 1
        self._attempt_steps += 1

    def errors_of_last(self, steps: int) -> Tensor:
        """Return this rank's errors in the last steps of the epoch, on the device."""
        return self._errors[self.done - steps : self.done].sum()

    def last_loss_is_finite(self) -> bool:
        """Return whether the last loss is finite. Waits for the device."""
        return math.isfinite(self._losses[self.done - 1].item())

    def rows(self) -> Tensor:
        """Return every step done, as columns of a history: float64 [4, steps] on the host. Waits for the device."""
        new = slice(self._read_out.shape[1], self.done)
        columns = torch.empty(len(Column), self.done - new.start, dtype=torch.float64)
        columns[Column.SECONDS] = torch.tensor(self.clock.take(), dtype=torch.float64)
        columns[Column.LOSS] = self._losses[new].cpu()
        columns[Column.ERRORS] = self._errors[new].cpu()
        columns[Column.WARM] = torch.arange(self._attempt_steps - columns.shape[1], self._attempt_steps) >= WARMUP_STEPS
        self._read_out = torch.cat([self._read_out, columns], dim=1)
        return self._read_out


def over_ranks(rows: Tensor) -> Tensor:
    """Return the history [steps, 4] from every rank's rows [world_size, 4, steps].

    Losses are averaged, since all ranks have the same number of images. Errors are summed. Seconds are averaged: the
    ranks leave each step together, so the means add up to the time that passed. The seconds of each step's slowest rank
    would add up to more.
    """
    mean = rows.mean(dim=0)
    mean[Column.ERRORS] = rows[:, Column.ERRORS].sum(dim=0)
    return mean.T.contiguous()


def steps_csv(history: Tensor, steps_per_epoch: int) -> bytes:
    """Return a table of a trial's steps. Steps and epochs count from 1; loss and errors are the global batch's."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "epoch", "seconds", "loss", "errors", "warm"])
    writer.writerows(_lines(history, steps_per_epoch))
    return text.getvalue().encode()


def _lines(history: Tensor, steps_per_epoch: int) -> Iterator[tuple[int, int, float, float, int, int]]:
    for i, (seconds, loss, errors, warm) in enumerate(history.tolist()):
        yield i + 1, i // steps_per_epoch + 1, seconds, loss, int(errors), int(warm)
