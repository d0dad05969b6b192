"""Trials in this process, without Ray: for a debugger, a machine without Ray, or several processes under `torchrun`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed

from harness.engine.context import Monitoring
from harness.engine.distributed import from_rank_0, process_group
from harness.events import Event, TrialEnded
from harness.launch.device import has_gpus
from harness.scheduling.queue import TrialQueue
from harness.scheduling.types import Lease, Shape, Snapshot
from harness.schema import Outcome
from harness.signals import StopSignal
from harness.trial import AttemptSettings
from harness.worker_loop import GroupBroken, Worker, run_leases

GROUP = "inline"


@dataclass(frozen=True, kw_only=True)
class Processes:
    """This process's rank among the processes that torchrun started; without torchrun it is the only one."""

    rank: int = 0
    world_size: int = 1
    on_gpus: bool = False
    """Whether the processes communicate between GPUs: NCCL accepts no data in a host's memory."""
    monitoring: Monitoring | None = None
    """Monitoring of this one process: each may see other devices."""


@dataclass(frozen=True, kw_only=True)
class InlineConfig:
    """Settings that every process needs to run the sweep's leases."""

    folder: Path
    """Folder of the sweep."""
    shapes: tuple[Shape, ...]
    attempt: AttemptSettings


class ShownQueue:
    """A queue in this process that shows its state after every change."""

    def __init__(self, queue: TrialQueue, show: Callable[[Snapshot], None]) -> None:
        self._queue, self._show, self._seen = queue, show, 0

    def lease(self, group: str, shape: Shape) -> Lease | None:
        """Return the lease of the next trial."""
        lease = self._queue.lease(group, shape)
        self.show()
        return lease

    def emit(self, group: str, event: Event) -> None:
        """Record an event."""
        self._queue.emit(group, event)
        self.show()

    def flush(self, group: str) -> None:
        """Return when every event is durable."""
        self._queue.flush(group)

    def end(self, group: str, ended: TrialEnded) -> None:
        """Record the end of an attempt."""
        self._queue.end(group, ended)
        self.show()

    def end_lost(self, group: str, reason: str) -> None:
        """Record that a group cannot go on. A trial that it still holds ends for this reason."""
        self._queue.groups.note_loss_reason(group, reason)
        self._queue.release_leases(group)
        self.show()

    def show(self) -> None:
        """Show the new state."""
        snapshot = self._queue.snapshot(self._seen)
        self._seen = snapshot.ended_count
        self._show(snapshot)


@contextmanager
def processes(
    timeout_s: float, monitoring: Monitoring | None = None, *, may_use_gpus: bool = True
) -> Iterator[Processes]:
    """Join torchrun's process group if torchrun started this process.

    Args:
        timeout_s: how many seconds the processes wait for each other.
        monitoring: how this process watches its devices.
        may_use_gpus: False if no trial uses GPUs; the group then uses CPUs even on a machine with GPUs.
    """
    if not torch.distributed.is_torchelastic_launched():
        yield Processes(monitoring=monitoring)
        return
    device = _own_device("cuda" if may_use_gpus and has_gpus() else "cpu")
    with process_group(device, timeout_s=timeout_s) as (rank, world_size):
        on_gpus = device.type == "cuda"
        yield Processes(rank=rank, world_size=world_size, on_gpus=on_gpus, monitoring=monitoring)


def run_rank0(
    queue: TrialQueue, config: InlineConfig, world: Processes, show: Callable[[Snapshot], None], stop: StopSignal
) -> None:
    """Run every trial whose shape fits these processes; the others are infeasible here.

    Args:
        queue: all trials of the sweep that have no result.
        config: settings shared with the other processes.
        world: the processes; this one is rank 0.
        show: called with each new state of the queue.
        stop: asked after every step.
    """
    _share(config, world)
    shown = ShownQueue(queue, show)
    for shape in config.shapes:
        if (reason := _obstacle(shape, world)) is not None:
            queue.cancel_pending(shape, Outcome.INFEASIBLE, reason)
    _run(shown, config, world, _stop_asker(queue, stop))
    if stop.is_set():
        queue.stop_running("stopped")
    shown.show()


def run_follower(world: Processes, stop: StopSignal) -> None:
    """Run the trials that rank 0 leases, together with it. Rank 0 does everything else."""
    config = _share(None, world)
    nothing = ShownQueue(TrialQueue((), lambda _event: None), lambda _snapshot: None)
    _run(nothing, config, world, stop.is_set)


def _run(queue: ShownQueue, config: InlineConfig, world: Processes, stop_requested: Callable[[], bool]) -> None:
    for shape in config.shapes:
        if _obstacle(shape, world) is not None:
            continue
        worker = Worker(
            group=GROUP,
            shape=shape,
            rank=world.rank,
            device=_own_device(shape.device),
            folder=config.folder,
            stop_requested=stop_requested,
            settings=config.attempt,
            monitoring=world.monitoring,
        )
        _run_all(queue, worker)


def _run_all(queue: ShownQueue, worker: Worker) -> None:
    """Run all leases. A single process cannot be replaced, so it continues after a loss; the queue limits how often."""
    while True:
        try:
            return run_leases(queue, worker)
        except GroupBroken as broken:
            queue.end_lost(worker.group, str(broken))
            if worker.shape.workers > 1:
                raise


def _share(config: InlineConfig | None, world: Processes) -> InlineConfig:
    """Return rank 0's config, on every rank."""
    shared = from_rank_0(config, world.world_size)
    assert shared is not None
    return shared


def _own_device(kind: str) -> torch.device:
    if kind == "cpu":
        return torch.device("cpu")
    device = torch.device("cuda", torch.distributed.get_node_local_rank(fallback_rank=0))
    torch.cuda.set_device(device)
    return device


def _stop_asker(queue: TrialQueue, stop: StopSignal) -> Callable[[], bool]:
    def requested() -> bool:
        if stop.is_set():
            queue.stop()
        return stop.is_set()

    return requested


def _obstacle(shape: Shape, world: Processes) -> str | None:
    """Return why these processes cannot run this shape; None if they can."""
    if shape.workers != world.world_size:
        return (
            f"the trial wants {shape.workers} workers and this launcher has {world.world_size}; "
            f"start it with torchrun --nproc-per-node {shape.workers}, or use --launcher ray"
        )
    if shape.device == "cpu" and shape.workers > 1 and world.on_gpus:
        return (
            "the trial wants CPUs and these processes talk over GPUs, for other trials of the workload; run those with "
            "scale.device cpu from a file of their own, or use --launcher ray"
        )
    if shape.device == "cuda" and not has_gpus():
        return "the trial wants a GPU and this process sees none; set scale.device to auto or cpu"
    return None
