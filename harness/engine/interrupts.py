"""What is asked of a running trial from outside, and how its workers agree on the step at which they obey."""

from __future__ import annotations

import time
from typing import NamedTuple

from harness.engine.context import TrialContext
from harness.engine.distributed import highest
from harness.errors import HarnessError, Stopped

LOOK_EVERY_S = 0.5
"""Between two looks of a group of several workers."""
MOST_STEPS = 1000
"""Between two looks, however quick the steps are."""


class TimedOut(HarnessError):
    """An attempt that used up its time."""


class Interrupt(NamedTuple):
    """What some worker has seen, the same on every worker."""

    stop: bool
    late: bool
    checkpoint: bool


class Interrupts:
    """Asks whether to stop, whether time is up, whether a checkpoint is due.

    A worker that is alone asks after every step: a flag and a clock, the device goes on meanwhile. Several must obey at
    the same step, or one waits for gradients that the others never send. So they vote, at steps that the vote before
    has fixed: each proposes as many steps as pass in `LOOK_EVERY_S`, and the fewest count. A vote is one message of 32
    bytes, for which a GPU catches up with its host.
    """

    def __init__(self, context: TrialContext) -> None:
        self._context = context
        self._steps_until_look = 1
        self._steps = 0
        self._looked_s = time.perf_counter()

    def is_time_to_look(self) -> bool:
        """Called after each step: whether all workers look now."""
        self._steps += 1
        return self._steps >= self._steps_until_look

    def look(self, *, late: bool, checkpoint: bool) -> Interrupt:
        """What any worker has seen. All take part.

        Args:
            late: whether this worker's clock says that the trial's time is up.
            checkpoint: whether this worker wants one written.
        """
        context = self._context
        mine = Interrupt(context.stop_requested(), late, checkpoint)
        if context.world_size == 1:
            return mine
        *votes, fewest = highest([*map(int, mine), -self._proposal()], context.world_size, context.device)
        self._steps_until_look, self._steps = -fewest, 0
        self._looked_s = time.perf_counter()
        return Interrupt(*map(bool, votes))

    def _proposal(self) -> int:
        if not self._steps:
            return self._steps_until_look
        return steps_until_look(self._steps, time.perf_counter() - self._looked_s)


def steps_until_look(steps: int, seconds: float) -> int:
    """Steps until the next look, from those since the last: at most twice as many, since a few steps may mislead."""
    in_time = int(LOOK_EVERY_S * steps / max(seconds, 1e-9))
    return max(1, min(in_time, 2 * steps, MOST_STEPS))


class Watch:
    """Of one attempt; `started`, on `perf_counter`'s clock, is when it was."""

    def __init__(self, context: TrialContext, *, started: float) -> None:
        self._context = context
        self._started = started
        self._interrupts = Interrupts(context)
        self._steps = 0

    @property
    def total_s(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._started

    def step_done(self) -> None:
        """After a step that all ranks take: what any of them has seen, all act upon, as in training and as seldom.

        Raises:
            Stopped: asked to stop.
            TimedOut: out of time.
        """
        self.step_done_alone()
        if self._interrupts.is_time_to_look():
            self.look()

    def step_done_alone(self) -> None:
        """After a step in which no rank may wait for another."""
        self._steps += 1
        self._context.progressed()

    def look(self) -> None:
        """Whether to go on. All ranks take part. Raises as `step_done` does."""
        timeout_s = self._context.timeout_s
        late = timeout_s is not None and self.total_s > timeout_s
        asked = self._interrupts.look(late=late, checkpoint=False)
        if asked.stop:
            raise Stopped(f"stopped after {self._steps} steps; a timing trial starts again from the beginning")
        if asked.late:
            raise TimedOut(f"out of time after {self._steps} steps")
