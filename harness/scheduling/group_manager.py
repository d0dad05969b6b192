"""The number of worker groups of each shape: as many as there is room and work for. `ControllerHosts` starts them."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.scheduling.feasibility import ClusterUse, NodeResources, assign_workers, infeasibility_reason
from harness.scheduling.node_quarantine import NodeHealth
from harness.scheduling.types import GroupEnd, GroupStats, Shape
from harness.schema import Outcome

FAILURES_IN_A_ROW = 3
"""Groups of a shape that may be lost in a row without having leased a trial; then its waiting trials are cancelled.
A lost group that had leased a trial costs it an attempt, so that the number of such losses is limited anyway."""
ROOM_COMES_BACK_S = 600.0
"""Seconds that a lost node has to come back, if no trial of a shape can run without it."""


class Queue(Protocol):
    """The methods of a queue that the groups use: a `TrialQueue`, or the client of the actor that holds it."""

    def waiting(self) -> Mapping[Shape, int]:
        """Return how many trials of each shape wait."""
        ...

    def busy(self) -> Collection[str]:
        """Return the groups that hold a trial."""
        ...

    def expire_hung(self) -> Sequence[str]:
        """End the trials that hang. Return their groups."""
        ...

    def cancel_pending(self, shape: Shape, outcome: Outcome, reason: str) -> None:
        """End the waiting trials of a shape."""
        ...


class Registry(Protocol):
    """The method of a `GroupRegistry` that the groups use."""

    def group_stats(self, group: str) -> GroupStats:
        """Return the leases, results and nodes of a group so far."""
        ...


class Starter(Protocol):
    """The starter of groups: `harness.cluster.controller_hosts.ControllerHosts`."""

    def start(self, group: str, shape: Shape, node: str, avoid: Collection[str]) -> None:
        """Start a group. Its first worker will probably be on `node`, and none on the nodes to avoid."""
        ...

    def ended(self) -> Mapping[str, GroupEnd]:
        """Return the groups that ended since the last call."""
        ...

    def kill(self, group: str) -> None:
        """End the processes of a group that hangs."""
        ...


@dataclass(frozen=True, kw_only=True)
class Group:
    """The driver's record of a worker group."""

    shape: Shape
    taken: Mapping[str, int]
    """Node -> workers of the group that will run there, as far as can be foreseen."""
    started_s: float


@dataclass
class Groups:
    """All groups of the sweep. Resources are counted here and not by Ray, since a group takes its resources late."""

    queue: Queue
    registry: Registry
    hosts: Starter
    clock: Callable[[], float] = time.monotonic
    running: dict[str, Group] = field(default_factory=dict)
    _started: int = 0
    _health: NodeHealth = field(default_factory=NodeHealth)
    _failures: dict[Shape, tuple[int, float]] = field(default_factory=dict)
    """Shape -> number of groups lost in a row without having leased a trial, and the time of the last loss."""
    _lacking: dict[Shape, float] = field(default_factory=dict)
    """Waiting shape -> time since which the cluster is too small for it."""
    _crowded_out: dict[Shape, float] = field(default_factory=dict)
    """Waiting shape -> time since which other work on the cluster leaves no room for any group of it."""

    _have_leased: set[str] = field(default_factory=set)
    """Running groups that have leased a trial."""

    @property
    def starting(self) -> Mapping[str, float]:
        """Running groups that have leased no trial yet, each with the seconds since its start."""
        return {
            name: self.clock() - group.started_s
            for name, group in self.running.items()
            if name not in self._have_leased
        }

    @property
    def crowded_out(self) -> Mapping[Shape, float]:
        """Seconds for which shapes have waited because other work uses the room. No trial fails for it."""
        return {shape: self.clock() - since_s for shape, since_s in self._crowded_out.items()}

    def reconcile(self, nodes: Sequence[NodeResources], use: ClusterUse | None = None) -> None:
        """Start groups that fit and have work, kill those that hang, and cancel shapes whose groups keep failing.

        Args:
            nodes: all resources of each living node.
            use: what is in use; None if nobody else uses the cluster.
        """
        for group in self.queue.expire_hung():
            self.hosts.kill(group)
        self._reap()
        waiting, busy = self.queue.waiting(), set(self.queue.busy())
        self._have_leased = (self._have_leased | busy) & set(self.running)
        # Groups that hold no trial at the moment: each will lease one of those that wait.
        on_their_way = Counter(group.shape for name, group in self.running.items() if name not in busy)
        left = self._left(nodes, use)
        for shape, count in waiting.items():
            self._start_all(shape, count - on_their_way[shape], left, self._avoided(shape, nodes))
        alive = {group.shape for group in self.running.values()}
        for shape in waiting:
            self._recheck(shape, nodes, is_alive=shape in alive)
        self._note_crowded_out(waiting, nodes, use)

    def _left(self, nodes: Sequence[NodeResources], use: ClusterUse | None) -> list[NodeResources]:
        """Return the resources left beside the running groups and beside other work."""
        if use is None:
            return _beside(nodes, self.running.values())
        # What is free tells where groups really are, which may not be where they were foreseen.
        return _beside(use.free, [group for name, group in self.running.items() if name not in use.placed])

    def _note_crowded_out(
        self, waiting: Collection[Shape], nodes: Sequence[NodeResources], use: ClusterUse | None
    ) -> None:
        """Note the shapes of which no group has its resources, although one would fit if this sweep were alone."""
        if use is None:
            return
        placed = [group for name, group in self.running.items() if name in use.placed]
        alone, has_group = _beside(nodes, placed), {group.shape for group in placed}
        crowded_out = [
            shape
            for shape in waiting
            if shape not in has_group
            and assign_workers(shape, alone) is not None
            and assign_workers(shape, use.free) is None
        ]
        self._crowded_out = {shape: self._crowded_out.get(shape, self.clock()) for shape in crowded_out}

    def _avoided(self, shape: Shape, nodes: Sequence[NodeResources]) -> frozenset[str]:
        """Return the nodes on which no group of a shape may start: none if the shape fits nowhere else."""
        quarantined = self._health.quarantined(self.clock())
        if (
            not quarantined
            or infeasibility_reason(shape, [node for node in nodes if node.name not in quarantined]) is not None
        ):
            return frozenset()
        return quarantined

    def _start_all(self, shape: Shape, count: int, left: list[NodeResources], avoid: Collection[str]) -> None:
        """Start as many groups as have work and fit. Reduce `left`, the resources of the nodes, in place."""
        for _ in range(count):
            taken = assign_workers(
                shape, [NodeResources(cpus=0, gpus=0) if node.name in avoid else node for node in left]
            )
            if taken is None:
                return
            by_node = {node.name: workers for node, workers in zip(left, taken, strict=True) if workers}
            left[:] = [node.without(n, shape) if n else node for node, n in zip(left, taken, strict=True)]
            self._start(Group(shape=shape, taken=by_node, started_s=self.clock()), avoid)

    def _start(self, group: Group, avoid: Collection[str]) -> None:
        self._started += 1
        name = f"group-{self._started}"
        self.running[name] = group
        self.hosts.start(name, group.shape, max(group.taken, key=lambda node: group.taken[node]), avoid)

    def _reap(self) -> None:
        for name, end in self.hosts.ended().items():
            group, stats = self.running.pop(name), self.registry.group_stats(name)
            if stats.results:
                self._health.record_success(stats.nodes)
            elif end.reason:
                self._health.record_loss(stats.nodes, self.clock())
            if stats.leases:
                self._failures.pop(group.shape, None)
            elif end.reason and not end.no_room:
                self._count_failure(group, end.reason)

    def _count_failure(self, group: Group, reason: str) -> None:
        """Count a lost group, unless it started before the last loss: then both losses may have the same cause."""
        count, last_s = self._failures.get(group.shape, (0, -math.inf))
        if group.started_s < last_s:
            return
        self._failures[group.shape] = count + 1, self.clock()
        works = set(self.queue.busy()) & {name for name, other in self.running.items() if other.shape == group.shape}
        if count + 1 >= FAILURES_IN_A_ROW and not works:
            self.queue.cancel_pending(group.shape, Outcome.FAILED, reason)

    def _recheck(self, shape: Shape, nodes: Sequence[NodeResources], *, is_alive: bool) -> None:
        """Cancel a shape's trials if no group of it runs and the cluster has been too small for too long."""
        if is_alive or (reason := infeasibility_reason(shape, nodes)) is None:
            self._lacking.pop(shape, None)
        elif self.clock() - self._lacking.setdefault(shape, self.clock()) > ROOM_COMES_BACK_S:
            self.queue.cancel_pending(shape, Outcome.INFEASIBLE, reason)


def _beside(nodes: Sequence[NodeResources], groups: Iterable[Group]) -> list[NodeResources]:
    """Return the resources that are left on each node beside some groups."""
    left = {node.name: node for node in nodes}
    for group in groups:
        for name, workers in group.taken.items():
            if name in left:
                left[name] = left[name].without(workers, group.shape)
    return list(left.values())
