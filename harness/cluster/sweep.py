"""The driver of a sweep on a Ray cluster: one queue actor, and as many worker groups as there is room and work for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import ray

from harness.cluster.actor import first_cause
from harness.cluster.background_call import BackgroundCall
from harness.cluster.controller_hosts import ControllerHosts
from harness.cluster.group_settings import GroupSettings
from harness.cluster.inspection import inspect
from harness.cluster.queue_client import QueueClient
from harness.cluster.reconciliation import Reconciliation
from harness.cluster.session import RaySession
from harness.errors import ClusterUnreachable, HarnessError, Stopped
from harness.scheduling.feasibility import NodeResources, infeasibility_reason
from harness.scheduling.group_manager import Groups
from harness.scheduling.types import Job, Limits, Snapshot
from harness.schema import Outcome
from harness.signals import StopSignal
from harness.storage import SweepFolder

POLL_S = 0.2
RECONCILE_EVERY_POLLS = 5
RECONCILE_S = 5.0
"""Seconds to wait, when the driver ends, for a call to the head that is still running."""
STOP_GRACE_S = 6.0
"""Seconds that running trials have to reach a checkpoint after a request to stop."""
HEAD_AWAY_S = 40.0
"""Seconds that the cluster's head may be silent. After 60 s Ray would kill the driver's process; before that, all
trials must have stopped and their runs must be closed."""


def run_on_cluster(
    session: RaySession,
    jobs: Sequence[Job],
    settings: GroupSettings,
    *,
    limits: Limits,
    show: Callable[[Snapshot], None],
    stop: StopSignal,
) -> None:
    """Run every job to its end on a cluster.

    Args:
        session: the connection to the cluster.
        jobs: in the order in which they should start.
        settings: settings of every worker group; events go to the outbox of its folder.
        limits: limits of each trial.
        show: called with each new state of the queue.
        stop: checked several times a second.

    Raises:
        ClusterUnreachable: nobody answers at the address, or the head stopped answering.
        StorageError, Infeasible: a node cannot do its part, see `harness.cluster.inspection`; nothing has started.
    """
    nodes = session.nodes()
    stop.listen()
    if not session.is_local:
        try:
            inspect(settings.folder, {job.trial.dataset for job in jobs}, stopped=stop.is_set)
        except Stopped:
            return
    queue = QueueClient.start(jobs, SweepFolder(settings.folder).outbox, limits)
    try:
        _cancel_infeasible(queue, jobs, nodes)
        groups = Groups(queue, queue, ControllerHosts(queue, settings))
        reconcile = BackgroundCall(Reconciliation(groups, settings, is_shared=not session.is_local).run)
        _drive(queue, reconcile, show, stop)
        reconcile.join(timeout_s=RECONCILE_S)
    except ray.exceptions.RayError as error:
        raise _translated(error) from error


def _translated(error: ray.exceptions.RayError) -> HarnessError:
    """Return the error of ours that tells what failed: an actor's own error, its process, or the cluster."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, HarnessError):
        return cause
    again = "run the same command to go on"
    if isinstance(error, ray.exceptions.RayTaskError):
        return HarnessError(f"a process of this sweep failed: {type(cause).__name__}: {first_cause(error)}; {again}")
    if isinstance(error, ray.exceptions.RayActorError):
        return HarnessError(f"the process of the sweep's queue ended: {first_cause(error)}; {again}")
    return ClusterUnreachable(f"the cluster was lost: {first_cause(error)}; {again}")


def _cancel_infeasible(queue: QueueClient, jobs: Sequence[Job], nodes: Sequence[NodeResources]) -> None:
    for shape in {job.shape for job in jobs}:
        if (reason := infeasibility_reason(shape, nodes)) is not None:
            queue.cancel_pending(shape, Outcome.INFEASIBLE, reason)


def _drive(queue: QueueClient, reconcile: BackgroundCall, show: Callable[[Snapshot], None], stop: StopSignal) -> None:
    """Poll the queue, which runs on the driver's node. Call the head in the background, because it may never answer."""
    seen = 0
    for poll in itertools.count():
        snapshot = queue.snapshot(seen)
        seen = snapshot.ended_count
        show(snapshot)
        if snapshot.done:
            return
        if stop.wait(POLL_S):
            _stop(queue, seen, show)
            return
        if reconcile.elapsed_s > HEAD_AWAY_S:
            _stop(queue, seen, show)
            raise ClusterUnreachable(
                f"Ray's head has not answered for {HEAD_AWAY_S:.0f} s; run the same command to go on"
            )
        if poll % RECONCILE_EVERY_POLLS == 0:
            reconcile.start()


def _stop(queue: QueueClient, seen: int, show: Callable[[Snapshot], None]) -> None:
    """Lease nothing more, give running trials time for a checkpoint, then end them as stopped."""
    queue.stop()
    deadline = time.monotonic() + STOP_GRACE_S
    while time.monotonic() < deadline and queue.snapshot(seen).running:
        time.sleep(POLL_S)
    queue.stop_running("stopped before it reached a checkpoint")
    show(queue.snapshot(seen))
