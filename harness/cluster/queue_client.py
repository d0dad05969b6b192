"""The queue's actor: its start, and the client through which every process of a sweep calls it.

Nothing here loads torch: the process that starts worker groups has no use for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import ray
import ray.cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import ActorHandle, call
from harness.cluster.outbox_queue import OutboxQueue
from harness.events import Event, TrialEnded
from harness.scheduling.types import GroupStats, Job, Lease, LeaseLost, Limits, Shape, Snapshot
from harness.schema import Outcome


class QueueClient:
    """Calls the methods of an `OutboxQueue` and waits for each result. A client can be sent to other processes.

    Only events are sent without waiting, and checked when the next one is sent. So a recorder that fails is noticed,
    and a slow one does not delay training.

    Every method raises `ray.exceptions.RayError` if the actor is gone or the method failed.
    """

    def __init__(self, actor: ActorHandle) -> None:
        self._actor = actor
        self._sent: Any = None

    @classmethod
    def start(cls, jobs: Sequence[Job], outbox: Path, limits: Limits) -> QueueClient:
        """Start the queue in a process of its own, on the driver's node: the loss of another node cannot end it.

        Ray repeats a call that a broken connection may have lost.
        """
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor = ray.remote(num_cpus=0)(OutboxQueue).options(max_task_retries=-1, scheduling_strategy=here)
        return cls(actor.remote(jobs, outbox, limits))

    # --- workers ------------------------------------------------------------------------------------------------------

    def lease(self, group: str, shape: Shape) -> Lease | None:
        """Lease the next trial, None if the group should end."""
        lease: Lease | None = call(self._actor.lease, group, shape)
        return lease

    def emit(self, group: str, event: Event) -> None:
        """Send an event, after the one before has arrived.

        Raises:
            LeaseLost: the event before was refused, since the group no longer holds the trial.
        """
        self._await_sent()
        self._sent = self._actor.emit.remote(group, event)

    def flush(self, group: str) -> None:
        """Return when every event sent is durable.

        Raises:
            LeaseLost: an event was refused.
        """
        self._await_sent()
        call(self._actor.flush, group)

    def end(self, group: str, ended: TrialEnded) -> None:
        """Record how an attempt ended; it is durable on return.

        Raises:
            LeaseLost: the group no longer holds the trial.
        """
        self._await_sent()
        with _lease_lost():
            call(self._actor.end, group, ended)

    def heartbeat(self, group: str, progress: int) -> bool:
        """Report that a group is alive, and its progress. Return whether the sweep is stopping."""
        stopping: bool = call(self._actor.heartbeat, group, progress)
        return stopping

    def register_this_worker(self, group: str, rank: int) -> None:
        """Register the actor that calls this, and its node. Its handle is pickled, because the queue loads no torch."""
        here = ray.get_runtime_context()
        pickled: bytes = ray.cloudpickle.dumps(here.current_actor)  # type: ignore[no-untyped-call]
        call(self._actor.register_worker, group, rank, pickled, here.get_node_id())

    # --- groups -------------------------------------------------------------------------------------------------------

    def waiting(self) -> Mapping[Shape, int]:
        """Return how many trials of each shape wait."""
        waiting: Mapping[Shape, int] = call(self._actor.waiting)
        return waiting

    def busy(self) -> frozenset[str]:
        """Return the groups that hold a trial."""
        busy: frozenset[str] = call(self._actor.busy)
        return busy

    def group_stats(self, group: str) -> GroupStats:
        """Return the leases, results and nodes of a group so far."""
        stats: GroupStats = call(self._actor.group_stats, group)
        return stats

    def expire_hung(self) -> tuple[str, ...]:
        """End the trials that hang. Return their groups."""
        groups: tuple[str, ...] = call(self._actor.expire_hung)
        return groups

    def cancel_pending(self, shape: Shape, outcome: Outcome, reason: str) -> None:
        """End the waiting trials of a shape."""
        call(self._actor.cancel_pending, shape, outcome, reason)

    def note_loss_reason(self, group: str, reason: str, *, out_of_memory: bool = False) -> None:
        """Note why a group is about to end."""
        call(self._actor.note_loss_reason, group, reason, out_of_memory)

    def release_leases(self, group: str) -> None:
        """End the trials that a group still holds."""
        call(self._actor.release_leases, group)

    def kill_workers(self, group: str) -> None:
        """Kill the workers of a group that hangs. Ray Train notices their death and ends the group."""
        for handle in call(self._actor.worker_handles, group):
            ray.kill(ray.cloudpickle.loads(handle), no_restart=True)

    # --- the driver ---------------------------------------------------------------------------------------------------

    def snapshot(self, seen: int) -> Snapshot:
        """Return the queue's state, without the first `seen` ended trials."""
        snapshot: Snapshot = call(self._actor.snapshot, seen)
        return snapshot

    def stop(self) -> None:
        """Lease nothing more."""
        call(self._actor.stop)

    def stop_running(self, reason: str) -> None:
        """End every leased trial as stopped. Lease nothing more."""
        call(self._actor.stop_running, reason)

    def _await_sent(self) -> None:
        sent, self._sent = self._sent, None
        if sent is not None:
            with _lease_lost():
                ray.get(sent)


@contextlib.contextmanager
def _lease_lost() -> Iterator[None]:
    """Raise the queue's own error in place of Ray's wrapper."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, LeaseLost):
            raise error.cause from error
        raise
