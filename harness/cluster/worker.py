"""The worker of a group: it leases trials from the queue's actor and runs them."""

from __future__ import annotations

import contextlib
import os
import threading
from contextlib import AbstractContextManager
from types import TracebackType

import ray
import ray.train
import ray.train.torch
import torch

from harness.cluster.group_settings import GroupSettings
from harness.cluster.queue_client import QueueClient
from harness.engine.context import VISIBLE, Monitoring
from harness.scheduling.types import Shape
from harness.worker_loop import Worker, run_leases


class Pulse(AbstractContextManager["Pulse"]):
    """Reports the group's progress to the queue twice a second, and learns whether the sweep is stopping.

    It runs in a thread, so that the training loop does not wait for the queue. A loop that hangs is noticed because its
    progress no longer grows.
    """

    def __init__(self, queue: QueueClient, group: str, every_s: float = 0.5) -> None:
        self._queue, self._group, self._every_s = queue, group, every_s
        self._progress = 0
        self._stopping, self._left = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left.set()

    def progressed(self) -> None:
        """Count a finished step or batch."""
        self._progress += 1

    def requested(self) -> bool:
        """Return whether the sweep is stopping, or its driver is gone."""
        return self._stopping.is_set()

    def _beat(self) -> None:
        while not self._left.wait(self._every_s) and not self._stopping.is_set():
            try:
                stopping = self._queue.heartbeat(self._group, self._progress)
            except ray.exceptions.RayError:
                stopping = True
            if stopping:
                self._stopping.set()


def run_worker(group: str, shape: Shape, queue: QueueClient, settings: GroupSettings) -> None:
    """Run trials until the queue has none of this shape. The process group exists already.

    Args:
        group: the group that this process is a rank of.
        shape: shape of its trials.
        queue: the sweep's queue.
        settings: the sweep's settings.

    Raises:
        GroupBroken: a trial failed in a way that makes the group unusable.
    """
    rank, device = ray.train.get_context().get_world_rank(), own_device()
    if rank == 0:
        queue.release_leases(group)
    queue.register_this_worker(group, rank)
    with Pulse(queue, group) if rank == 0 else contextlib.nullcontext() as pulse:
        worker = Worker(
            group=group,
            shape=shape,
            rank=rank,
            device=device,
            folder=settings.folder,
            stop_requested=pulse.requested if pulse else _never,
            progressed=pulse.progressed if pulse else _nothing,
            settings=settings.attempt,
            monitoring=Monitoring(visible_devices=os.environ.get(VISIBLE)) if settings.monitor else None,
        )
        run_leases(queue, worker, one_trial=settings.one_trial)


def own_device() -> torch.device:
    """Return the device that Ray gave this worker. A GPU becomes this thread's current one, as NCCL expects."""
    device: torch.device = ray.train.torch.get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _never() -> bool:
    """Return False: rank 0 asks for the whole group."""
    return False


def _nothing() -> None:
    """Do nothing: rank 0 reports progress for the whole group."""
