"""What a trial that keeps no checkpoints does between steps: tell that it lives, and obey."""

from __future__ import annotations

import time

from harness.engine.context import TrialContext
from harness.engine.requests import Requests
from harness.engine.train import TimedOut
from harness.errors import Stopped


class Watch:
    """Of one attempt; `started`, on `perf_counter`'s clock, is when it was."""

    def __init__(self, context: TrialContext, *, started: float) -> None:
        self._context = context
        self._started = started
        self._requests = Requests(context)
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
        if self._requests.is_time_to_look():
            self.look()

    def step_done_alone(self) -> None:
        """After a step in which no rank may wait for another."""
        self._steps += 1
        self._context.progressed()

    def look(self) -> None:
        """Whether to go on. All ranks take part. Raises as `step_done` does."""
        timeout_s = self._context.timeout_s
        late = timeout_s is not None and self.total_s > timeout_s
        asked = self._requests.look(late=late, checkpoint=False)
        if asked.stop:
            raise Stopped(f"stopped after {self._steps} steps; a timing trial starts again from the beginning")
        if asked.late:
            raise TimedOut(f"out of time after {self._steps} steps")
