"""Where the controllers of worker groups live: one host process a node, started when the first group needs it."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import ray
import ray.cloudpickle
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import Actor, ask, first_cause
from harness.cluster.group_host import GroupHost
from harness.cluster.places import give_back
from harness.cluster.queue import Shape
from harness.cluster.worker_group import GroupSettings

MOST_GROUPS = 1000
"""Of one host, side by side; each is a thread of it."""


LOOK_FOR_PLACES_S = 120.0
"""How long lost groups' placement groups are looked for: longer than Ray takes to give a silent node up."""


@dataclass(frozen=True, kw_only=True)
class _Started:
    group: str
    node: str
    host: Actor


@dataclass
class Hosts:
    """Starts groups, each beside its workers: Ray Train keeps a controller process for each on its host's node."""

    queue: Actor
    settings: GroupSettings
    _hosts: dict[str, Actor] = field(default_factory=dict)
    _ends: dict[Any, _Started] = field(default_factory=dict)
    """By the reference to what `GroupHost.run` will return."""
    _lost: dict[str, float] = field(default_factory=dict)
    """Names of the placement groups that nobody may have given back -> until when to look for them."""

    def start(self, group: str, shape: Shape, node: str, avoid: Collection[str]) -> None:
        """Start a group on the host of a node, none of its workers on the nodes to avoid."""
        if node not in self._hosts:
            self._hosts[node] = self._new(node)
        host = self._hosts[node]
        self._ends[host.run.remote(group, shape, avoid)] = _Started(group=group, node=node, host=host)

    def ended(self) -> dict[str, str | None]:
        """The groups that ended since the last call: why each was lost, None at a good end.

        Raises:
            ray.exceptions.RayTaskError: the queue could not record what a group left.
        """
        running = list(self._ends)
        ready = ray.wait(running, num_returns=len(running), timeout=0)[0] if running else []
        ends = dict(self._end(self._ends.pop(reference), reference) for reference in ready)
        self._give_back()
        return ends

    def kill(self, group: str) -> None:
        """End the workers of a group that hangs. Ray Train finds them dead and gives the group up."""
        for member in ask(self.queue.members, group):
            ray.kill(ray.cloudpickle.loads(member), no_restart=True)

    def _end(self, started: _Started, reference: Any) -> tuple[str, str | None]:
        try:
            failure: str | None = ray.get(reference)
        except ray.exceptions.RayActorError as error:
            self._abandon(started)
            failure = f"the node of its controller was lost: {first_cause(error)}"
            ask(self.queue.lost, started.group, failure)
            ask(self.queue.join, started.group)
        if failure is not None:
            self._lost[self.settings.places(started.group)] = time.monotonic() + LOOK_FOR_PLACES_S
        return started.group, failure

    def _abandon(self, started: _Started) -> None:
        """A host that could not be reached may live on: it must not, since others take what it held."""
        ray.kill(started.host, no_restart=True)
        if self._hosts.get(started.node) is started.host:
            del self._hosts[started.node]

    def _give_back(self) -> None:
        """Remove what lost groups hold; more than once, since a controller beyond a cut link may still ask for more."""
        now_s = time.monotonic()
        self._lost = {name: until_s for name, until_s in self._lost.items() if until_s > now_s}
        if self._lost:
            give_back(self._lost)

    def _new(self, node: str) -> Actor:
        """On its node, or elsewhere where that has just been lost."""
        strategy = NodeAffinitySchedulingStrategy(node, soft=True)
        host = ray.remote(num_cpus=0)(GroupHost)
        return host.options(max_concurrency=MOST_GROUPS, scheduling_strategy=strategy).remote(self.queue, self.settings)
