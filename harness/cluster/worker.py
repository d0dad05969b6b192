"""The worker of a group: it leases trials from the queue's actor and runs them."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import ray
import ray.cloudpickle
import ray.train
import ray.train.torch
import torch

from harness.cluster.actor import Actor, call
from harness.cluster.group_settings import GroupSettings
from harness.engine.context import VISIBLE, Monitoring
from harness.events import Event, TrialEnded
from harness.scheduling.types import Lease, LeaseLost, Shape
from harness.worker_loop import Worker, run_leases


class QueueProxy:
    """The queue's actor as `harness.worker_loop.QueuePort`.

    Each event is sent without waiting, and checked when the next one is sent. So a recorder that fails is noticed, and
    a slow one does not delay training.
    """

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._sent: Any = None

    def lease(self, group: str, shape: Shape) -> Lease | None:
        """Lease the next trial, None if the group should end."""
        lease: Lease | None = call(self._actor.lease, group, shape)
        return lease

    def emit(self, group: str, event: Event) -> None:
        """Send an event, after the one before has arrived.

        Raises:
            LeaseLost: the event before was refused, since the group no longer holds the trial.
        """
        self._settle()
        self._sent = self._actor.emit.remote(group, event)

    def flush(self, group: str) -> None:
        """Return when every event sent is durable.

        Raises:
            LeaseLost: an event was refused.
        """
        self._settle()
        call(self._actor.flush, group)

    def end(self, group: str, ended: TrialEnded) -> None:
        """Record how an attempt ended; it is durable on return.

        Raises:
            LeaseLost: the group no longer holds the trial.
        """
        self._settle()
        with _lease_lost():
            call(self._actor.end, group, ended)

    def _settle(self) -> None:
        sent, self._sent = self._sent, None
        if sent is not None:
            wait: Any = ray.get
            with _lease_lost():
                wait(sent)


@contextlib.contextmanager
def _lease_lost() -> Iterator[None]:
    """Raise the queue's own error in place of Ray's wrapper."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, LeaseLost):
            raise error.cause from error
        raise


class Pulse(AbstractContextManager["Pulse"]):
    """Reports the group's progress to the queue twice a second, and learns whether the sweep is stopping.

    It runs in a thread, so that the training loop does not wait for the queue. A loop that hangs is noticed because its
    progress no longer grows.
    """

    def __init__(self, actor: Actor, group: str, every_s: float = 0.5) -> None:
        self._actor, self._group, self._every_s = actor, group, every_s
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
                stopping = call(self._actor.heartbeat, self._group, self._progress)
            except ray.exceptions.RayError:
                stopping = True
            if stopping:
                self._stopping.set()


def run_worker(group: str, shape: Shape, queue: Actor, settings: GroupSettings) -> None:
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
        call(queue.release_leases, group)
    _enlist(group, rank, queue)
    with Pulse(queue, group) if rank == 0 else contextlib.nullcontext() as pulse:
        worker = Worker(
            group=group,
            shape=shape,
            rank=rank,
            device=device,
            folder=settings.folder,
            stop_requested=pulse.requested if pulse else _never,
            progressed=pulse.progressed if pulse else _nothing,
            checkpoint_every_s=settings.checkpoint_every_s,
            checkpoint_every_steps=settings.checkpoint_every_steps,
            trial_timeout_s=settings.trial_timeout_s,
            monitoring=Monitoring(visible_devices=os.environ.get(VISIBLE)) if settings.monitor else None,
        )
        run_leases(QueueProxy(queue), worker, one_trial=settings.one_trial)


def own_device() -> torch.device:
    """Return the device that Ray gave this worker. A GPU becomes this thread's current one, as NCCL expects."""
    device: torch.device = ray.train.torch.get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _enlist(group: str, rank: int, queue: Actor) -> None:
    """Register a worker's actor handle and node. The handle is pickled, so that the queue does not load torch."""
    pack: Any = ray.cloudpickle.dumps
    here = ray.get_runtime_context()
    call(queue.register_worker, group, rank, pack(here.current_actor), here.get_node_id())


def _never() -> bool:
    """Return False: rank 0 asks for the whole group."""
    return False


def _nothing() -> None:
    """Do nothing: rank 0 reports progress for the whole group."""
