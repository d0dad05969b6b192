"""The driver of a sweep on a Ray cluster: one queue actor, and as many worker groups as there is room and work for."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import Actor, Asked, ask, first_cause
from harness.cluster.errand import Errand
from harness.cluster.groups import Groups
from harness.cluster.hosts import Hosts
from harness.cluster.inspection import inspect
from harness.cluster.outbox_queue import OutboxQueue
from harness.cluster.preflight import NodeRoom, obstacle
from harness.cluster.queue import Job, Limits, Snapshot
from harness.cluster.session import connected, rooms
from harness.cluster.worker_group import GroupSettings
from harness.errors import ClusterUnreachable, HarnessError, Stopped
from harness.launch.stop import StopSignal
from harness.schema import Outcome
from harness.storage import SweepFolder

POLL_S = 0.2
FILL_EVERY_POLLS = 5
FILL_S = 5.0
"""For starting groups, where the head answers; Ray is not left while we ask it."""
STOP_GRACE_S = 6.0
"""How long running trials have to reach a checkpoint after a stop was asked for."""
HEAD_AWAY_S = 40.0
"""How long the cluster's head may be silent. After 60 s Ray would end the driver's process on the spot; until then
trials must have stopped and their runs be closed."""


def run_on_cluster(
    jobs: Sequence[Job],
    settings: GroupSettings,
    *,
    address: str | None,
    limits: Limits,
    show: Callable[[Snapshot], None],
    stop: StopSignal,
) -> None:
    """Run every job to its end on the cluster at `address`, or on a local Ray.

    Args:
        jobs: in the order in which they should start.
        settings: what every worker group is told; events go to the outbox of its folder.
        address: of the cluster.
        limits: of each trial.
        show: called with each new state of the queue.
        stop: asked several times a second.

    Raises:
        ClusterUnreachable: nobody answers at the address, or nobody does any more.
        StorageError, Infeasible: a node cannot do its part, see `harness.cluster.inspection`; nothing has started.
    """
    with connected(address):
        stop.listen()
        nodes = rooms()
        if address is not None:
            try:
                inspect(settings.folder, {job.trial.dataset for job in jobs}, stopped=stop.is_set)
            except Stopped:
                return
        queue = queue_actor(jobs, SweepFolder(settings.folder).outbox, limits)
        try:
            _give_up_infeasible(queue, jobs, nodes)
            groups = Groups(Asked(queue), Hosts(queue, settings))
            fill = Errand(lambda: groups.fill(rooms()))
            _drive(queue, fill, show, stop)
            fill.rest(timeout_s=FILL_S)
        except ray.exceptions.RayError as error:
            if isinstance(cause := getattr(error, "cause", None), HarnessError):
                raise cause from error
            raise ClusterUnreachable(
                f"the cluster was lost: {first_cause(error)}; run the same command to go on"
            ) from error


def queue_actor(jobs: Sequence[Job], outbox: Path, limits: Limits) -> Actor:
    """The queue in a process of its own. A call that a broken link may have swallowed is made again."""
    queue = ray.remote(num_cpus=0)(OutboxQueue)
    return queue.options(max_task_retries=-1, **_beside_driver()).remote(jobs, outbox, limits)


def _beside_driver() -> dict[str, Any]:
    """On the driver's node: a node that is lost elsewhere never takes the queue with it."""
    here = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(here, soft=False)}


def _give_up_infeasible(queue: Actor, jobs: Sequence[Job], nodes: Sequence[NodeRoom]) -> None:
    for shape in {job.shape for job in jobs}:
        if (reason := obstacle(shape, nodes)) is not None:
            ask(queue.give_up, shape, Outcome.INFEASIBLE, reason)


def _drive(queue: Actor, fill: Errand, show: Callable[[Snapshot], None], stop: StopSignal) -> None:
    """Ask the queue, which lives beside us, and have the head asked, which may never answer."""
    seen = 0
    for poll in itertools.count():
        snapshot: Snapshot = ask(queue.snapshot, seen)
        seen = snapshot.ended_count
        show(snapshot)
        if snapshot.done:
            return
        if stop.wait(POLL_S):
            _stop(queue, seen, show)
            return
        if fill.waiting_s > HEAD_AWAY_S:
            _stop(queue, seen, show)
            raise ClusterUnreachable(
                f"Ray's head has not answered for {HEAD_AWAY_S:.0f} s; run the same command to go on"
            )
        if poll % FILL_EVERY_POLLS == 0:
            fill.go()


def _stop(queue: Actor, seen: int, show: Callable[[Snapshot], None]) -> None:
    """Lease nothing more, wait for running trials to keep what they have, then go on without them."""
    ask(queue.stop)
    deadline = time.monotonic() + STOP_GRACE_S
    while time.monotonic() < deadline and ask(queue.snapshot, seen).running:
        time.sleep(POLL_S)
    ask(queue.abandon, "stopped before it reached a checkpoint")
    show(ask(queue.snapshot, seen))
