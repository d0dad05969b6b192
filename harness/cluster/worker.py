"""What every worker of a group does: lease trials from the queue's actor and run them."""

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

    Events are sent without waiting, each checked when the next one goes out, so that a recorder which fails is noticed
    and a slow one costs training nothing.
    """

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._sent: Any = None

    def lease(self, group: str, shape: Shape) -> Lease | None:
        """The next trial."""
        lease: Lease | None = call(self._actor.lease, group, shape)
        return lease

    def emit(self, group: str, event: Event) -> None:
        """Send an event on its way, after the one before has arrived.

        Raises:
            LeaseLost: the one before was refused, since the group no longer holds the trial.
        """
        self._settle()
        self._sent = self._actor.emit.remote(group, event)

    def flush(self, group: str) -> None:
        """Return when every event sent is durable.

        Raises:
            LeaseLost: one was refused.
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
    """Take what the queue raised out of what Ray made of it."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, LeaseLost):
            raise error.cause from error
        raise


class Pulse(AbstractContextManager["Pulse"]):
    """Tells the queue twice a second how far the group is, and hears whether the sweep is stopping.

    In a thread, so that the training loop neither asks nor waits; a loop that hangs is noticed by what no longer grows.
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
        """A step or a batch is done."""
        self._progress += 1

    def requested(self) -> bool:
        """Whether the sweep is stopping, or its driver is gone."""
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
    """Run trials until the queue has none of this shape. The process group is up.

    Args:
        group: that this process is a rank of.
        shape: of its trials.
        queue: of the sweep.
        settings: of the sweep.

    Raises:
        GroupBroken: a trial failed in a way that leaves the group unfit.
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
    """The device that Ray gave this worker; a GPU is this thread's current one from now on, as NCCL expects."""
    device: torch.device = ray.train.torch.get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device


def _enlist(group: str, rank: int, queue: Actor) -> None:
    """Leave what this process can be killed by: packed, or the queue's process would load torch to look at it."""
    pack: Any = ray.cloudpickle.dumps
    here = ray.get_runtime_context()
    call(queue.register_worker, group, rank, pack(here.current_actor), here.get_node_id())


def _never() -> bool:
    """Rank 0 asks for all."""
    return False


def _nothing() -> None:
    """Rank 0 speaks for all."""
