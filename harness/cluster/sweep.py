"""The driver of a sweep on a Ray cluster: one queue actor, and as many worker groups as there is room and work for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import Actor, ask, first_cause
from harness.cluster.group_host import GroupHost
from harness.cluster.outbox_queue import OutboxQueue
from harness.cluster.preflight import NodeRoom, obstacle, place
from harness.cluster.queue import Job, Shape, Snapshot
from harness.cluster.session import connected, rooms
from harness.cluster.worker_group import GroupSettings
from harness.errors import ClusterUnreachable
from harness.launch.stop import StopSignal
from harness.schema import Outcome
from harness.storage import SweepFolder

POLL_S = 0.2
MOST_GROUPS = 1000
"""Side by side; each is a thread of the host."""
STOP_GRACE_S = 6.0
"""How long running trials have to reach a checkpoint after a stop was asked for."""


@dataclass
class Group:
    """A worker group, as the driver knows it."""

    name: str
    shape: Shape
    end: Any
    """Reference to what `GroupHost.run` will return."""


@dataclass
class Groups:
    """All groups of the sweep. Rooms are counted here, not asked of Ray, since a group takes its room late."""

    queue: Actor
    host: Actor
    running: list[Group] = field(default_factory=list)
    _started: int = 0

    def fill(self, nodes: Sequence[NodeRoom], waiting: dict[Shape, int]) -> None:
        """Start what fits and has work; give up shapes whose last group failed."""
        self._bury(waiting)
        left = tuple(nodes)
        for group in self.running:
            left = place(group.shape, left) or left
        for shape, count in waiting.items():
            while self._wanted(shape, count) and (rest := place(shape, left)) is not None:
                left = rest
                self._start(shape)

    def _wanted(self, shape: Shape, waiting: int) -> bool:
        """A group on its way will lease one of those that wait, so that many groups have work."""
        return sum(group.shape == shape for group in self.running) < waiting

    def _start(self, shape: Shape) -> None:
        self._started += 1
        name = f"group-{self._started}"
        self.running.append(Group(name=name, shape=shape, end=self.host.run.remote(name, shape)))

    def _bury(self, waiting: dict[Shape, int]) -> None:
        ends = [group.end for group in self.running]
        ready = set(ray.wait(ends, num_returns=len(ends), timeout=0)[0]) if ends else set()
        dead = [group for group in self.running if group.end in ready]
        self.running = [group for group in self.running if group.end not in ready]
        for group in dead:
            failure = ray.get(group.end)
            alone = all(other.shape != group.shape for other in self.running)
            if failure and alone and waiting.pop(group.shape, 0):
                ask(self.queue.give_up, group.shape, Outcome.FAILED, failure)


def run_on_cluster(
    make_jobs: Callable[[bool], Sequence[Job]],
    settings: GroupSettings,
    *,
    address: str | None,
    max_attempts: int,
    show: Callable[[Snapshot], None],
    stop: StopSignal,
) -> None:
    """Run every job to its end on the cluster at `address`, or on a local Ray.

    Args:
        make_jobs: told whether the cluster has GPUs, gives the jobs in the order in which they should start.
        settings: what every worker group is told; events go to the outbox of its folder.
        address: of the cluster.
        max_attempts: how often a trial may be tried.
        show: called with each new state of the queue.
        stop: asked several times a second.

    Raises:
        ClusterUnreachable: nobody answers at the address, or nobody does any more.
    """
    with connected(address):
        stop.listen()
        nodes = rooms()
        jobs = make_jobs(any(node.gpus for node in nodes))
        queue = queue_actor(jobs, SweepFolder(settings.folder).outbox, max_attempts)
        try:
            _give_up_infeasible(queue, jobs, nodes)
            _drive(queue, Groups(queue, _host(queue, settings)), show, stop)
        except ray.exceptions.RayError as error:
            raise ClusterUnreachable(
                f"the cluster was lost: {first_cause(error)}; run the same command to go on"
            ) from error


def queue_actor(jobs: Sequence[Job], outbox: Path, max_attempts: int) -> Actor:
    """The queue in a process of its own."""
    return ray.remote(num_cpus=0)(OutboxQueue).options(**_beside_driver()).remote(jobs, outbox, max_attempts)


def _host(queue: Actor, settings: GroupSettings) -> Actor:
    host = ray.remote(num_cpus=0)(GroupHost)
    return host.options(max_concurrency=MOST_GROUPS, **_beside_driver()).remote(queue, settings)


def _beside_driver() -> dict[str, Any]:
    """On the driver's node: a node that is lost elsewhere never takes the queue or the host with it."""
    here = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(here, soft=False)}


def _give_up_infeasible(queue: Actor, jobs: Sequence[Job], nodes: Sequence[NodeRoom]) -> None:
    for shape in {job.shape for job in jobs}:
        if (reason := obstacle(shape, nodes)) is not None:
            ask(queue.give_up, shape, Outcome.INFEASIBLE, reason)


def _drive(queue: Actor, groups: Groups, show: Callable[[Snapshot], None], stop: StopSignal) -> None:
    seen = 0
    while True:
        snapshot: Snapshot = ask(queue.snapshot, seen)
        seen = snapshot.ended_count
        show(snapshot)
        if snapshot.done:
            return
        if stop.wait(POLL_S):
            _stop(queue, seen, show)
            return
        groups.fill(rooms(), ask(queue.waiting))


def _stop(queue: Actor, seen: int, show: Callable[[Snapshot], None]) -> None:
    """Lease nothing more, wait for running trials to keep what they have, then go on without them."""
    ask(queue.stop)
    deadline = time.monotonic() + STOP_GRACE_S
    while time.monotonic() < deadline and ask(queue.snapshot, seen).running:
        time.sleep(POLL_S)
    ask(queue.abandon, "stopped before it reached a checkpoint")
    show(ask(queue.snapshot, seen))
