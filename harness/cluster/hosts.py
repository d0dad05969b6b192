"""Where the controllers of worker groups live: one host process a node, started when the first group needs it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import Actor, ask, first_cause
from harness.cluster.group_host import GroupHost
from harness.cluster.queue import Shape
from harness.cluster.worker_group import GroupSettings

MOST_GROUPS = 1000
"""Of one host, side by side; each is a thread of it."""


@dataclass
class Hosts:
    """Starts groups, each beside its workers: Ray Train keeps a controller process for each on its host's node."""

    queue: Actor
    settings: GroupSettings
    _hosts: dict[str, Actor] = field(default_factory=dict)
    _ends: dict[Any, tuple[str, str]] = field(default_factory=dict)
    """Reference to what `GroupHost.run` will return -> group, node of its host."""

    def start(self, group: str, shape: Shape, node: str) -> None:
        """Start a group on the host of a node."""
        if node not in self._hosts:
            self._hosts[node] = self._new(node)
        host = self._hosts[node]
        self._ends[host.run.remote(group, shape)] = group, node

    def ended(self) -> dict[str, str | None]:
        """The groups that ended since the last call: why each was lost, None at a good end.

        Raises:
            ray.exceptions.RayTaskError: the queue could not record what a group left.
        """
        running = list(self._ends)
        ready = ray.wait(running, num_returns=len(running), timeout=0)[0] if running else []
        return dict(self._end(reference) for reference in ready)

    def kill(self, group: str) -> None:
        """End the processes of a group that hangs. Ray Train finds them dead and starts others."""
        for member in ask(self.queue.members, group):
            ray.kill(member, no_restart=True)

    def _end(self, reference: Any) -> tuple[str, str | None]:
        group, node = self._ends.pop(reference)
        try:
            failure: str | None = ray.get(reference)
        except ray.exceptions.RayActorError as error:
            self._hosts.pop(node, None)
            failure = f"the node of its controller was lost: {first_cause(error)}"
            ask(self.queue.lost, group, failure)
            ask(self.queue.join, group)
        return group, failure

    def _new(self, node: str) -> Actor:
        """On its node, or elsewhere where that has just been lost."""
        strategy = NodeAffinitySchedulingStrategy(node, soft=True)
        host = ray.remote(num_cpus=0)(GroupHost)
        return host.options(max_concurrency=MOST_GROUPS, scheduling_strategy=strategy).remote(self.queue, self.settings)
