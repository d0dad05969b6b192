"""The loop of every worker, on Ray or not: lease a trial, run it, report how it ended, lease the next.

Only rank 0 talks to the queue; the process group broadcasts each lease.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from harness.engine.checkpoint import CheckpointFolder
from harness.engine.context import Monitoring, TrialContext
from harness.engine.distributed import from_rank_0
from harness.engine.failure import PeerLost
from harness.engine.run import attempt_trial
from harness.errors import HarnessError, Stopped
from harness.events import Event, TrialEnded
from harness.scheduling.types import Lease, LeaseLost, Shape
from harness.schema import Outcome
from harness.storage import SweepFolder
from harness.trial import AttemptSettings

NOTICE_S = 3.0
"""Seconds to wait before reporting a collective error, so that the death of the other rank is reported first. The group
ends with the first report."""


class QueuePort(Protocol):
    """The methods of a queue that the loop uses: a `TrialQueue`, or a proxy of the actor that holds it."""

    def lease(self, group: str, shape: Shape) -> Lease | None:
        """Return the next trial, None if the group should end."""
        ...

    def emit(self, group: str, event: Event) -> None:
        """Record an event.

        Raises:
            LeaseLost: the group no longer holds the trial. A proxy may raise this only at its next call.
        """
        ...

    def flush(self, group: str) -> None:
        """Return when every event of the group is durable.

        Raises:
            LeaseLost: an event was refused.
        """
        ...

    def end(self, group: str, ended: TrialEnded) -> None:
        """Record how an attempt ended."""
        ...


class GroupBroken(HarnessError):
    """This worker group cannot continue: one of its ranks left a collective, or its device may be unusable."""


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One process of a worker group."""

    group: str
    shape: Shape
    rank: int
    device: torch.device
    folder: Path
    """The sweep's folder."""
    stop_requested: Callable[[], bool]
    """Function that returns whether the sweep is stopping; called on rank 0 only."""
    progressed: Callable[[], None] = lambda: None
    """Function that is called at every step."""
    settings: AttemptSettings = field(default_factory=AttemptSettings)
    monitoring: Monitoring | None = None


def run_leases(queue: QueuePort, worker: Worker, *, one_trial: bool = False) -> None:
    """Run trials until the queue has none of this shape.

    Raises:
        GroupBroken: a trial failed in a way that makes the group unusable. The trial's end is recorded already, unless
            this rank only noticed that another one is silent. Then whoever started the group must report the end.
    """
    try:
        while (lease := from_rank_0(_lease(queue, worker), worker.shape.workers)) is not None:
            ended = _attempt(queue, worker, lease)
            if _deliver(queue, worker, ended) and ended.outcome.is_result:
                CheckpointFolder.below(SweepFolder(worker.folder).trial(lease.trial.id)).clear()
            if _breaks_group(worker, ended):
                raise GroupBroken(f"{lease.trial.name}: {ended.reason}")
            if one_trial:
                return
    finally:
        gc.unfreeze()  # some libraries check for leaks when the process ends


def _lease(queue: QueuePort, worker: Worker) -> Lease | None:
    return queue.lease(worker.group, worker.shape) if worker.rank == 0 else None


def _attempt(queue: QueuePort, worker: Worker, lease: Lease) -> TrialEnded:
    context = TrialContext(
        folder=SweepFolder(worker.folder).trial(lease.trial.id),
        attempt=lease.attempt,
        rank=worker.rank,
        world_size=worker.shape.workers,
        device=worker.device,
        emit=lambda event: queue.emit(worker.group, event),
        stop_requested=worker.stop_requested,
        flush=lambda: queue.flush(worker.group),
        progressed=worker.progressed,
        settings=worker.settings,
        monitoring=worker.monitoring,
    )
    try:
        return attempt_trial(lease.trial, context)
    except PeerLost as lost:
        time.sleep(NOTICE_S)
        raise GroupBroken(f"another rank is lost or out of reach: {lost}") from lost
    except Stopped as stopped:
        return lease.ended(Outcome.STOPPED, str(stopped))
    except Exception as error:  # noqa: BLE001  # the next trial runs even if recording a failure fails
        return lease.ended(Outcome.FAILED, f"{type(error).__name__}: {error}")
    finally:
        _clear_memory()


def _clear_memory() -> None:
    """Free the trial's network, which reference cycles keep alive, before the next one needs its memory.

    The libraries and caches that remain are frozen, so that the next collection skips them (half a second).
    """
    gc.collect()
    gc.freeze()


def _deliver(queue: QueuePort, worker: Worker, ended: TrialEnded) -> bool:
    """Record the end of an attempt, and return whether the queue accepted it; it is durable then.

    Rank 0 reports for the group. A rank that failed alone reports for itself, since the others may hang.
    """
    if worker.rank == 0 or ended.outcome is Outcome.FAILED or ended.outcome is Outcome.OUT_OF_MEMORY:
        with contextlib.suppress(LeaseLost):
            queue.end(worker.group, ended)
            return True
    return False


def _breaks_group(worker: Worker, ended: TrialEnded) -> bool:
    """Return whether a failure makes the group unusable: other ranks may wait for ever, or CUDA may be broken."""
    if worker.shape.workers > 1:
        return ended.outcome in (Outcome.FAILED, Outcome.OUT_OF_MEMORY)
    return ended.outcome is Outcome.FAILED and worker.device.type == "cuda"
