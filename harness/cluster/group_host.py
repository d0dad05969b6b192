"""The process that keeps worker groups alive."""

from __future__ import annotations

import sys

import ray.train

from harness.cluster.actor import Actor, ask, first_cause
from harness.cluster.queue import Shape, Snapshot
from harness.cluster.worker_group import GroupSettings, fit


class GroupHost:
    """The process that calls `TorchTrainer.fit()`, one thread a group.

    An actor and not the driver: a call of `fit` cannot be broken off, but an actor can be killed, and takes Ray Train's
    controllers and workers with it.
    """

    def __init__(self, queue: Actor, settings: GroupSettings) -> None:
        self._queue, self._settings = queue, settings

    def run(self, group: str, shape: Shape) -> str | None:
        """Keep a group alive until the queue has no trial for it; why it was given up, None at a good end."""
        while ask(self._queue.waiting).get(shape, 0):
            ended = self._ended()
            try:
                fit(group, shape, self._queue, self._settings)
            except ray.train.TrainingFailedError as error:
                ask(self._queue.join, group)
                if self._ended() == ended:
                    return first_cause(error)
        return None

    def _ended(self) -> int:
        snapshot: Snapshot = ask(self._queue.snapshot, sys.maxsize)
        return snapshot.ended_count
