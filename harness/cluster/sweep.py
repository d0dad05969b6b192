"""The driver of a sweep on a Ray cluster: one queue actor, and as many worker groups as there is room and work for."""

from __future__ import annotations

import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import Actor, ask, first_cause
from harness.cluster.group_host import GroupHost
from harness.cluster.inspection import inspect
from harness.cluster.outbox_queue import OutboxQueue
from harness.cluster.preflight import NodeRoom, obstacle, place
from harness.cluster.queue import Job, Shape, Snapshot
from harness.cluster.session import connected, rooms
from harness.cluster.worker_group import GroupSettings
from harness.errors import ClusterUnreachable, HarnessError
from harness.launch.stop import StopSignal
from harness.schema import Outcome
from harness.storage import SweepFolder

POLL_S = 0.2
FILL_EVERY_POLLS = 5
FAILURES_IN_A_ROW = 3
"""Groups of a shape that may be lost without any trial of theirs ending, before what waits for it is given up."""
ROOM_COMES_BACK_S = 600.0
"""How long a lost node may take to come back, where no trial of a shape can run without it."""
MOST_GROUPS = 1000
"""Side by side; each is a thread of the host."""
STOP_GRACE_S = 6.0
"""How long running trials have to reach a checkpoint after a stop was asked for."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A worker group, as the driver knows it."""

    name: str
    shape: Shape
    end: Any
    """Reference to what `GroupHost.run` will return."""
    ended_before: int
    """Trials of its shape that had ended when it started."""


@dataclass
class Groups:
    """All groups of the sweep. Rooms are counted here, not asked of Ray, since a group takes its room late."""

    queue: Actor
    host: Actor
    running: list[Group] = field(default_factory=list)
    _started: int = 0
    _failures: Counter[Shape] = field(default_factory=Counter)
    """Groups of a shape lost in a row, no trial of that shape ending in between."""
    _lacking: dict[Shape, float] = field(default_factory=dict)
    """Since when the cluster is too small for a shape that waits."""

    def fill(self, nodes: Sequence[NodeRoom]) -> None:
        """Start what fits and has work; give up shapes whose groups get nowhere."""
        self._bury()
        waiting: dict[Shape, int] = ask(self.queue.waiting)
        busy = {running.group for running in ask(self.queue.snapshot, sys.maxsize).running}
        left = tuple(nodes)
        for group in self.running:
            left = place(group.shape, left) or left
        for shape, count in waiting.items():
            for _ in range(count - self._on_their_way(shape, busy)):
                rest = place(shape, left)
                if rest is None:
                    break
                left = rest
                self._start(shape)
            self._recheck(shape, nodes)

    def _on_their_way(self, shape: Shape, busy: set[str]) -> int:
        """Groups that hold no trial yet, or no more: each will lease one of those that wait."""
        return sum(group.shape == shape and group.name not in busy for group in self.running)

    def _start(self, shape: Shape) -> None:
        self._started += 1
        name = f"group-{self._started}"
        end = self.host.run.remote(name, shape)
        self.running.append(Group(name=name, shape=shape, end=end, ended_before=ask(self.queue.ended_of, shape)))

    def _bury(self) -> None:
        ends = [group.end for group in self.running]
        ready = set(ray.wait(ends, num_returns=len(ends), timeout=0)[0]) if ends else set()
        dead = [group for group in self.running if group.end in ready]
        self.running = [group for group in self.running if group.end not in ready]
        for group in dead:
            failure = ray.get(group.end)
            progress = ask(self.queue.ended_of, group.shape) > group.ended_before
            self._failures[group.shape] = 0 if progress or not failure else self._failures[group.shape] + 1
            if self._failures[group.shape] >= FAILURES_IN_A_ROW:
                ask(self.queue.give_up, group.shape, Outcome.FAILED, failure)

    def _recheck(self, shape: Shape, nodes: Sequence[NodeRoom]) -> None:
        """A node may have gone for good, and with it the room for a shape that nothing runs."""
        if any(group.shape == shape for group in self.running) or (reason := obstacle(shape, nodes)) is None:
            self._lacking.pop(shape, None)
        elif time.monotonic() - self._lacking.setdefault(shape, time.monotonic()) > ROOM_COMES_BACK_S:
            ask(self.queue.give_up, shape, Outcome.INFEASIBLE, reason)


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
        StorageError, Infeasible: a node cannot do its part, see `harness.cluster.inspection`; nothing has started.
    """
    with connected(address):
        stop.listen()
        nodes = rooms()
        jobs = make_jobs(any(node.gpus for node in nodes))
        if address is not None:
            inspect(settings.folder, {job.trial.dataset for job in jobs})
        queue = queue_actor(jobs, SweepFolder(settings.folder).outbox, max_attempts)
        try:
            _give_up_infeasible(queue, jobs, nodes)
            _drive(queue, Groups(queue, _host(queue, settings)), show, stop)
        except ray.exceptions.RayError as error:
            if isinstance(cause := getattr(error, "cause", None), HarnessError):
                raise cause from error
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
    for poll in itertools.count():
        snapshot: Snapshot = ask(queue.snapshot, seen)
        seen = snapshot.ended_count
        show(snapshot)
        if snapshot.done:
            return
        if stop.wait(POLL_S):
            _stop(queue, seen, show)
            return
        if poll % FILL_EVERY_POLLS == 0:
            groups.fill(rooms())


def _stop(queue: Actor, seen: int, show: Callable[[Snapshot], None]) -> None:
    """Lease nothing more, wait for running trials to keep what they have, then go on without them."""
    ask(queue.stop)
    deadline = time.monotonic() + STOP_GRACE_S
    while time.monotonic() < deadline and ask(queue.snapshot, seen).running:
        time.sleep(POLL_S)
    ask(queue.abandon, "stopped before it reached a checkpoint")
    show(ask(queue.snapshot, seen))
