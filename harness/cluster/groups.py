"""How many worker groups of which shape run: as many as there is room and work for. Pure: `hosts.py` starts them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from harness.cluster.preflight import NodeRoom, obstacle, seats
from harness.cluster.queue import Shape
from harness.schema import Outcome

FAILURES_IN_A_ROW = 3
"""Groups of a shape that may be lost without any trial of theirs ending, before what waits for it is given up."""
ROOM_COMES_BACK_S = 600.0
"""How long a lost node may take to come back, where no trial of a shape can run without it."""


class Queue(Protocol):
    """What the groups need of a queue: `TrialQueue` itself, or an actor behind `Asked`."""

    def waiting(self) -> Mapping[Shape, int]:
        """How many trials of each shape wait."""
        ...

    def busy(self) -> Collection[str]:
        """The groups that hold a trial."""
        ...

    def ended_of(self, shape: Shape) -> int:
        """How many trials of a shape have ended."""
        ...

    def expire(self) -> Sequence[str]:
        """End the trials that hang; their groups."""
        ...

    def give_up(self, shape: Shape, outcome: Outcome, reason: str) -> None:
        """End the waiting trials of a shape."""
        ...


class Starter(Protocol):
    """Where groups run: `harness.cluster.hosts.Hosts`."""

    def start(self, group: str, shape: Shape, node: str) -> None:
        """Start a group whose first worker will probably be on a node."""
        ...

    def ended(self) -> Mapping[str, str | None]:
        """The groups that ended since the last call: why each was lost, None at a good end."""
        ...

    def kill(self, group: str) -> None:
        """End the processes of a group that hangs."""
        ...


@dataclass(frozen=True, kw_only=True)
class Group:
    """A worker group, as the driver knows it."""

    shape: Shape
    taken: Mapping[str, int]
    """Node -> workers that have their place there, as far as can be foreseen."""
    ended_before: int
    """Trials of its shape that had ended when it started."""


@dataclass
class Groups:
    """All groups of the sweep. Rooms are counted here, not asked of Ray, since a group takes its room late."""

    queue: Queue
    hosts: Starter
    clock: Callable[[], float] = time.monotonic
    running: dict[str, Group] = field(default_factory=dict)
    _started: int = 0
    _failures: Counter[Shape] = field(default_factory=Counter)
    """Groups of a shape lost in a row, no trial of that shape ending in between."""
    _lacking: dict[Shape, float] = field(default_factory=dict)
    """Since when the cluster is too small for a shape that waits."""

    def fill(self, nodes: Sequence[NodeRoom]) -> None:
        """Start what fits and has work; kill what hangs; give up shapes whose groups get nowhere."""
        for group in self.queue.expire():
            self.hosts.kill(group)
        self._bury()
        waiting, busy = self.queue.waiting(), set(self.queue.busy())
        # Groups that hold no trial yet, or no more: each will lease one of those that wait.
        on_their_way = Counter(group.shape for name, group in self.running.items() if name not in busy)
        left = self._left(nodes)
        for shape, count in waiting.items():
            self._start_all(shape, count - on_their_way[shape], left)
        alive = {group.shape for group in self.running.values()}
        for shape in waiting:
            self._recheck(shape, nodes, is_alive=shape in alive)

    def _left(self, nodes: Sequence[NodeRoom]) -> list[NodeRoom]:
        """The nodes' room beside the groups that run."""
        left = {node.name: node for node in nodes}
        for group in self.running.values():
            for name, workers in group.taken.items():
                if name in left:
                    left[name] = left[name].without(workers, group.shape)
        return list(left.values())

    def _start_all(self, shape: Shape, count: int, left: list[NodeRoom]) -> None:
        """As many groups as have work and fit; what is left of the nodes changes in place."""
        ended_before = None
        for _ in range(count):
            taken = seats(shape, left)
            if taken is None:
                return
            if ended_before is None:
                ended_before = self.queue.ended_of(shape)
            by_node = {node.name: workers for node, workers in zip(left, taken, strict=True) if workers}
            left[:] = [node.without(n, shape) if n else node for node, n in zip(left, taken, strict=True)]
            self._start(Group(shape=shape, taken=by_node, ended_before=ended_before))

    def _start(self, group: Group) -> None:
        self._started += 1
        name = f"group-{self._started}"
        self.running[name] = group
        self.hosts.start(name, group.shape, max(group.taken, key=lambda node: group.taken[node]))

    def _bury(self) -> None:
        for name, failure in self.hosts.ended().items():
            group = self.running.pop(name)
            progress = self.queue.ended_of(group.shape) > group.ended_before
            self._failures[group.shape] = 0 if progress or not failure else self._failures[group.shape] + 1
            if failure and self._failures[group.shape] >= FAILURES_IN_A_ROW:
                self.queue.give_up(group.shape, Outcome.FAILED, failure)

    def _recheck(self, shape: Shape, nodes: Sequence[NodeRoom], *, is_alive: bool) -> None:
        """A node may have gone for good, and with it the room for a shape that nothing runs."""
        if is_alive or (reason := obstacle(shape, nodes)) is None:
            self._lacking.pop(shape, None)
        elif self.clock() - self._lacking.setdefault(shape, self.clock()) > ROOM_COMES_BACK_S:
            self.queue.give_up(shape, Outcome.INFEASIBLE, reason)
