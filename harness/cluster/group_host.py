"""The process that keeps worker groups alive."""

from __future__ import annotations

import os
from collections.abc import Collection

import ray
import ray.train

from harness.cluster.actor import Actor, ask, first_cause
from harness.cluster.queue import Shape
from harness.cluster.worker_group import GroupSettings, fit

RAY_TRAIN_SETTINGS = {
    # How soon the end of a group, or the death of a worker, is seen.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # All that workers write has an absolute path; the folder they are in is the driver's.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # A process for each group that would say of a node that it is about to go. What is lost with it is trained again.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
"""Ray Train reads these in the process that calls `fit`, and hands them on to its own."""


class GroupHost:
    """The process that calls Ray Train's `fit()`, one thread a group.

    An actor and not the driver: a call of `fit` cannot be broken off, but an actor can be killed, and takes Ray Train's
    controllers and workers with it.
    """

    def __init__(self, queue: Actor, settings: GroupSettings) -> None:
        self._queue, self._settings = queue, settings
        for name, value in RAY_TRAIN_SETTINGS.items():
            os.environ.setdefault(name, value)

    def run(self, group: str, shape: Shape, avoid: Collection[str]) -> str | None:
        """One worker group, until the queue has no trial for it; why it was lost, None at a good end."""
        try:
            fit(group, shape, self._queue, self._settings, avoid)
        except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
            ask(self._queue.join, group)
            return first_cause(error)
        return None
