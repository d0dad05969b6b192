"""Requests to a running trial from outside, and how its workers agree on the step at which they act."""

from __future__ import annotations

from typing import NamedTuple

from harness.engine.context import TrialContext
from harness.engine.distributed import highest
from harness.errors import HarnessError, Stopped

POLL_EVERY_S = 0.5
"""Seconds between two polls of a group of several workers."""
MOST_STEPS = 1000
"""Most steps between two polls, however fast the steps are."""


class TimedOut(HarnessError):
    """The attempt used up its time."""


class Interrupt(NamedTuple):
    """Requests that some worker has seen; the same on every worker."""

    stop: bool
    late: bool
    checkpoint: bool


class Interrupts:
    """Checks whether to stop, whether time is up, and whether a checkpoint is due.

    A single worker checks after every step: it reads a flag and a clock, and the device goes on meanwhile. Several
    workers must act at the same step, or one waits for gradients that the others never send. So they vote, at steps
    that the previous vote has fixed: each worker proposes the number of steps that pass in `POLL_EVERY_S`, and the
    smallest number counts. A vote is one message of 32 bytes, and the host waits until its GPU has caught up.
    """

    def __init__(self, context: TrialContext) -> None:
        self._context = context
        self._steps_until_poll = 1
        self._steps = 0
        self._polled_s = self._context.clock()

    def is_poll_due(self) -> bool:
        """Return whether all workers poll now. This is called after each step."""
        self._steps += 1
        return self._steps >= self._steps_until_poll

    def poll(self, *, late: bool, checkpoint: bool) -> Interrupt:
        """Return the requests that any worker has seen. All workers take part.

        Args:
            late: whether this worker's clock says that the trial's time is up.
            checkpoint: whether this worker wants a checkpoint written.
        """
        context = self._context
        mine = Interrupt(context.stop_requested(), late, checkpoint)
        if context.world_size == 1:
            return mine
        *votes, fewest = highest([*map(int, mine), -self._proposal()], context.world_size, context.device)
        self._steps_until_poll, self._steps = -fewest, 0
        self._polled_s = self._context.clock()
        return Interrupt(*map(bool, votes))

    def _proposal(self) -> int:
        if not self._steps:
            return self._steps_until_poll
        return steps_until_poll(self._steps, self._context.clock() - self._polled_s)


def steps_until_poll(steps: int, seconds: float) -> int:
    """Return the steps until the next poll, from the steps since the last one and their seconds.

    They are at most twice the steps since the last poll, since a few steps may mislead.
    """
    in_time = int(POLL_EVERY_S * steps / max(seconds, 1e-9))
    return max(1, min(in_time, 2 * steps, MOST_STEPS))


class Watch:
    """Clock and interrupts of one attempt; `started` is its start by the context's clock."""

    def __init__(self, context: TrialContext, *, started: float) -> None:
        self._context = context
        self._started = started
        self._interrupts = Interrupts(context)
        self._steps = 0

    @property
    def total_s(self) -> float:
        """Seconds since the start of the attempt."""
        return self._context.clock() - self._started

    def step_done(self) -> None:
        """Count a step that all ranks take. All ranks act on the requests that any of them has seen, as rarely as in
        training.

        Raises:
            Stopped: a stop was requested.
            TimedOut: the time is up.
        """
        self.step_done_alone()
        if self._interrupts.is_poll_due():
            self.act_on_interrupts()

    def step_done_alone(self) -> None:
        """Count a step in which no rank may wait for another."""
        self._steps += 1
        self._context.progressed()

    def act_on_interrupts(self) -> None:
        """Act on the requests that any rank has seen. All ranks take part. Raises the same errors as `step_done`."""
        timeout_s = self._context.settings.timeout_s
        late = timeout_s is not None and self.total_s > timeout_s
        interrupt = self._interrupts.poll(late=late, checkpoint=False)
        if interrupt.stop:
            raise Stopped(f"stopped after {self._steps} steps; a timing trial starts again from the beginning")
        if interrupt.late:
            raise TimedOut(f"out of time after {self._steps} steps")
