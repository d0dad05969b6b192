"""The driver of a sweep on a Ray cluster: one queue actor, and as many worker groups as there is room and work for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import Actor, ask
from harness.cluster.preflight import NodeRoom, obstacle, place
from harness.cluster.queue import Job, Shape, Snapshot, TrialQueue
from harness.cluster.session import connected, rooms
from harness.cluster.worker_group import GroupSettings, fit
from harness.errors import ClusterUnreachable
from harness.launch.stop import StopSignal
from harness.schema import Outcome
from harness.storage import SweepFolder
from harness.tracking.outbox import Outbox

POLL_S = 0.2
STOP_GRACE_S = 6.0
"""How long running trials have to reach a checkpoint after a stop was asked for."""


@dataclass
class Group:
    """A worker group in a thread of the driver, started again as long as its trials come to an end."""

    name: str
    shape: Shape
    queue: Actor
    settings: GroupSettings
    failure: str | None = None
    """Why it was given up."""
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still runs trials, or will."""
        return self.thread.is_alive()

    def _run(self) -> None:
        try:
            while self._has_work() and self.failure is None:
                self._fit_once()
        except ray.exceptions.RayError as error:
            # The driver has shut Ray down under us, or the queue is gone: the driver knows.
            self.failure = str(error)

    def _fit_once(self) -> None:
        ended = self._ended()
        try:
            fit(self.name, self.shape, self.queue, self.settings)
        except ray.train.TrainingFailedError as error:
            ask(self.queue.join, self.name)
            if self._ended() == ended:
                self.failure = _cause(error)

    def _has_work(self) -> bool:
        waiting: dict[Shape, int] = ask(self.queue.waiting)
        return waiting.get(self.shape, 0) > 0

    def _ended(self) -> int:
        snapshot: Snapshot = ask(self.queue.snapshot)
        return snapshot.ended_count


@dataclass
class Groups:
    """All groups of the sweep. Rooms are counted here, not asked of Ray, since a group takes its room late."""

    queue: Actor
    settings: GroupSettings
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
        self.running.append(Group(name=name, shape=shape, queue=self.queue, settings=self.settings))

    def _bury(self, waiting: dict[Shape, int]) -> None:
        dead = [group for group in self.running if not group.alive]
        self.running = [group for group in self.running if group.alive]
        for group in dead:
            alone = all(other.shape != group.shape for other in self.running)
            if group.failure and alone and waiting.pop(group.shape, 0):
                ask(self.queue.give_up, group.shape, Outcome.FAILED, group.failure)


class OutboxQueue(TrialQueue):
    """The queue in its actor: every accepted event goes to the sweep's outbox first."""

    def __init__(self, jobs: Sequence[Job], outbox: Path, max_attempts: int) -> None:
        super().__init__(jobs, Outbox(outbox).append, max_attempts)


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
            _drive(queue, Groups(queue, settings), show, stop)
        except ray.exceptions.RayError as error:
            raise ClusterUnreachable(f"the cluster was lost: {_cause(error)}; run the same command to go on") from error


def queue_actor(jobs: Sequence[Job], outbox: Path, max_attempts: int) -> Actor:
    """On the driver's node: a node lost elsewhere never takes the queue with it."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(num_cpus=0)(OutboxQueue).options(scheduling_strategy=here)
    return actor.remote(jobs, outbox, max_attempts)


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


def _cause(error: BaseException) -> str:
    """The innermost message that a user can act on, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
