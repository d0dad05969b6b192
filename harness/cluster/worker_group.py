"""A warm worker group: one `TorchTrainer` whose loop leases trials until there are none."""

from __future__ import annotations

import contextlib
import math
import os
import re
import threading
import traceback
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch
from ray.train.v2.api.callback import UserCallback
from ray.train.v2.api.config import FailureConfig

from harness.cluster.actor import Actor, ask, first_cause
from harness.cluster.network import BoundTorchConfig
from harness.cluster.places import NamedPlaces
from harness.cluster.queue import Lease, LeaseLost, Shape
from harness.engine.context import VISIBLE, Monitoring
from harness.errors import HarnessError
from harness.events import Event, TrialEnded
from harness.launch.leases import Worker, run_leases

NODE_LABEL = "ray.io/node-id"
"""Ray gives it to every node."""
PLACEMENT_TRIES = 20
"""Times Ray Train waits its start-up time-out (60 s) for a placement group: somebody else may have the room for now."""


@dataclass(frozen=True, kw_only=True)
class GroupSettings:
    """What every group of a sweep is told."""

    folder: Path
    """The sweep's."""
    collective_timeout_s: float = 300.0
    """How long ranks wait for each other before the group is given up."""
    trial_timeout_s: float | None = None
    checkpoint_every_s: float | None = None
    checkpoint_every_steps: int | None = None
    monitor: bool = True
    """Watch the devices that trials run on."""
    one_trial: bool = False
    """A fresh group for every trial (`isolation: process`)."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    """Tells this execution's groups from those of others."""

    def places(self, group: str) -> str:
        """The name of a group's placement groups."""
        return f"{self.run}-{group}"


class QueueProxy:
    """The queue's actor as `harness.launch.leases.QueuePort`.

    Events are sent without waiting, each checked when the next one goes out, so that a recorder which fails is noticed
    and a slow one costs training nothing.
    """

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._sent: Any = None

    def lease(self, group: str, shape: Shape) -> Lease | None:
        """The next trial."""
        lease: Lease | None = ask(self._actor.lease, group, shape)
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
        ask(self._actor.flush, group)

    def end(self, group: str, ended: TrialEnded) -> None:
        """Record how an attempt ended; it is durable on return.

        Raises:
            LeaseLost: the group no longer holds the trial.
        """
        self._settle()
        with _lease_lost():
            ask(self._actor.end, group, ended)

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
                stopping = ask(self._actor.pulse, self._group, self._progress)
            except ray.exceptions.RayError:
                stopping = True
            if stopping:
                self._stopping.set()


class LossReport(UserCallback):
    """Tells the queue why a group was lost, rank by rank: what `fit` raises is one of its workers' errors."""

    def __init__(self, queue: Actor, group: str) -> None:
        self._queue, self._group = queue, group

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:  # noqa: ARG002
        """Called in Ray Train's controller, before it gives the group up."""
        reason, out_of_memory = loss_of(worker_exceptions)
        with contextlib.suppress(ray.exceptions.RayError):
            ask(self._queue.lost, self._group, reason, out_of_memory)


def loss_of(exceptions: Mapping[int, Exception]) -> tuple[str, bool]:
    """Why a group was lost, in one line with rank and node, and whether for lack of memory; from each rank's exception.

    What a worker raised itself says less than that another one died: it was in a collective with it.
    """
    causes = {rank: _as_raised(error) for rank, error in exceptions.items()}
    dead = {rank: cause for rank, cause in causes.items() if isinstance(cause, ray.exceptions.RayError)}
    rank, cause = min((dead or causes).items(), key=lambda item: item[0])
    node = re.search(r"\bip(?: of|=|: ?)?[\s:]*(\d+\.\d+\.\d+\.\d+)", str(cause), re.IGNORECASE)
    where = f"rank {rank}" + (f" on {node[1]}" if node else "")
    out_of_memory = isinstance(cause, ray.exceptions.OutOfMemoryError)
    what = "was killed for lack of memory" if out_of_memory else "died" if dead else "failed"
    return f"{where} of its group {what}: {_why(cause)}"[:500], out_of_memory


def _why(cause: BaseException) -> str:
    if isinstance(cause, ray.exceptions.RayError):
        return first_cause(cause).partition(" Some common causes include")[0]  # Ray's advice, the same each time
    if isinstance(cause, HarnessError):
        return first_cause(cause)
    return traceback.format_exception_only(cause)[-1].strip()


def _as_raised(error: Exception) -> BaseException:
    """Without what Ray Train wraps around it, which is not part of its API: where that changes, the wrapped one."""
    wrapped: BaseException | None = getattr(error, "health_check_failure", None) or getattr(error, "_base_exc", None)
    return wrapped or error


def fit(group: str, shape: Shape, queue: Actor, settings: GroupSettings, avoid: Collection[str]) -> None:
    """Start a worker group and let it run trials until the queue has none of this shape.

    Args:
        group: its name.
        shape: of its trials.
        queue: of the sweep.
        settings: of the sweep.
        avoid: Ray's ids of the nodes on which it shall not be.

    Raises:
        ray.train.TrainingFailedError: the group was lost, or could not be placed.
    """
    gpus = {"GPU": shape.gpus_per_worker} if shape.gpus_per_worker else {}
    callbacks: Any = [LossReport(queue, group), NamedPlaces(settings.places(group))]
    scaling: Any = ray.train.ScalingConfig  # Ray's types know an older one
    trainer = ray.train.torch.TorchTrainer(
        _worker_loop,
        train_loop_config={"group": group, "shape": shape, "queue": queue, "settings": settings},
        torch_config=BoundTorchConfig(timeout_s=math.ceil(settings.collective_timeout_s)),
        scaling_config=scaling(
            num_workers=shape.workers,
            use_gpu=shape.device == "cuda",
            resources_per_worker={"CPU": shape.cpus_per_worker, **gpus},
            placement_strategy=shape.placement.upper(),
            label_selector={NODE_LABEL: f"!in({','.join(sorted(avoid))})"} if avoid else None,
        ),
        run_config=ray.train.RunConfig(
            # A name used twice would silently resume the run before.
            name=f"{group}-{uuid.uuid4().hex[:8]}",
            storage_path=str(settings.folder.resolve() / "logs" / "ray-train"),
            callbacks=callbacks,
            # Ray Train would start lost workers where they were lost; the sweep first asks whether that node is fit.
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=PLACEMENT_TRIES),
        ),
    )
    trainer.fit()


def _never() -> bool:
    """Rank 0 asks for all."""
    return False


def _nothing() -> None:
    """Rank 0 speaks for all."""


def _worker_loop(config: dict[str, Any]) -> None:
    """What Ray Train runs on every worker."""
    shape, queue, settings = config["shape"], config["queue"], config["settings"]
    rank = ray.train.get_context().get_world_rank()
    if shape.device == "cpu":
        torch.set_num_threads(shape.cpus_per_worker)
    if rank == 0:
        ask(queue.join, config["group"])
    here = ray.get_runtime_context()
    ask(queue.enlist, config["group"], rank, here.current_actor, here.get_node_id())
    with Pulse(queue, config["group"]) if rank == 0 else contextlib.nullcontext() as pulse:
        worker = Worker(
            group=config["group"],
            shape=shape,
            rank=rank,
            device=ray.train.torch.get_device(),
            folder=settings.folder,
            stop_requested=pulse.requested if pulse else _never,
            progressed=pulse.progressed if pulse else _nothing,
            checkpoint_every_s=settings.checkpoint_every_s,
            checkpoint_every_steps=settings.checkpoint_every_steps,
            trial_timeout_s=settings.trial_timeout_s,
            monitoring=Monitoring(visible_devices=os.environ.get(VISIBLE)) if settings.monitor else None,
        )
        run_leases(QueueProxy(queue), worker, one_trial=settings.one_trial)
