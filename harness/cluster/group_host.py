"""The process that keeps worker groups alive."""

from __future__ import annotations

from collections.abc import Collection

import ray
import ray.train

from harness.cluster.actor import Actor, ask, first_cause
from harness.cluster.queue import Shape
from harness.cluster.worker_group import GroupSettings, fit


class GroupHost:
    """The process that calls Ray Train's `fit()`, one thread a group.

    An actor and not the driver: a call of `fit` cannot be broken off, but an actor can be killed, and takes Ray Train's
    controllers and workers with it.
    """

    def __init__(self, queue: Actor, settings: GroupSettings) -> None:
        self._queue, self._settings = queue, settings

    def run(self, group: str, shape: Shape, avoid: Collection[str]) -> str | None:
        """One worker group, until the queue has no trial for it; why it was lost, None at a good end."""
        try:
            fit(group, shape, self._queue, self._settings, avoid)
        except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
            ask(self._queue.join, group)
            return first_cause(error)
        return None
