"""What is asked of a running trial from outside, and how its workers agree on the step at which they obey."""

from __future__ import annotations

import time
from typing import NamedTuple

from harness.engine.context import TrialContext
from harness.engine.distributed import highest

LOOK_EVERY_S = 0.5
"""Between two looks of a group of several workers."""
MOST_STEPS = 1000
"""Between two looks, however quick the steps are."""


class Asked(NamedTuple):
    """What some worker has seen, the same on every worker."""

    stop: bool
    late: bool
    checkpoint: bool


class Requests:
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

    def look(self, *, late: bool, checkpoint: bool) -> Asked:
        """What any worker has seen. All take part.

        Args:
            late: whether this worker's clock says that the trial's time is up.
            checkpoint: whether this worker wants one written.
        """
        context = self._context
        mine = Asked(context.stop_requested(), late, checkpoint)
        if context.world_size == 1:
            return mine
        *votes, fewest = highest([*map(int, mine), -self._proposal()], context.world_size, context.device)
        self._steps_until_look, self._steps = -fewest, 0
        self._looked_s = time.perf_counter()
        return Asked(*map(bool, votes))

    def _proposal(self) -> int:
        if not self._steps:
            return self._steps_until_look
        return steps_until_look(self._steps, time.perf_counter() - self._looked_s)


def steps_until_look(steps: int, seconds: float) -> int:
    """Steps until the next look, from those since the last: at most twice as many, since a few steps may mislead."""
    in_time = int(LOOK_EVERY_S * steps / max(seconds, 1e-9))
    return max(1, min(in_time, 2 * steps, MOST_STEPS))
