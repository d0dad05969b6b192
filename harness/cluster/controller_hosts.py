"""Where the controllers of worker groups live: one host process a node, started when the first group needs it."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import ray
import ray.cloudpickle
import ray.train
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import Actor, call, first_cause
from harness.cluster.group_settings import GroupSettings
from harness.cluster.placement_groups import remove_placement_groups
from harness.cluster.worker_group import fit
from harness.scheduling.types import Shape

MOST_GROUPS = 1000
"""Of one host, side by side; each is a thread of it."""


SEARCH_S = 120.0
"""How long lost groups' placement groups are looked for: longer than Ray takes to give a silent node up."""


class ControllerHost:
    """The process that calls Ray Train's `fit()`, one thread a group.

    An actor and not the driver: a call of `fit` cannot be broken off, but an actor can be killed, and takes Ray Train's
    controllers and workers with it.
    """

    def __init__(self, queue: Actor, settings: GroupSettings) -> None:
        self._queue, self._settings = queue, settings

    def run(self, group: str, shape: Shape, avoid: Collection[str]) -> str | None:
        """One worker group, until the queue has no trial for it; why it was lost, None at a good end."""
        try:
            fit(group, shape, self._queue, self._settings, avoid)
        except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
            call(self._queue.release_leases, group)
            return first_cause(error)
        return None


@dataclass(frozen=True, kw_only=True)
class _Started:
    group: str
    node: str
    host: Actor


@dataclass
class ControllerHosts:
    """Starts groups, each beside its workers: Ray Train keeps a controller process for each on its host's node."""

    queue: Actor
    settings: GroupSettings
    _hosts: dict[str, Actor] = field(default_factory=dict)
    _ends: dict[Any, _Started] = field(default_factory=dict)
    """By the reference to what `ControllerHost.run` will return."""
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
        self._remove_placement_groups()
        return ends

    def kill(self, group: str) -> None:
        """End the workers of a group that hangs. Ray Train finds them dead and gives the group up."""
        for member in call(self.queue.worker_handles, group):
            ray.kill(ray.cloudpickle.loads(member), no_restart=True)

    def _end(self, started: _Started, reference: Any) -> tuple[str, str | None]:
        try:
            failure: str | None = ray.get(reference)
        except ray.exceptions.RayActorError as error:
            self._abandon(started)
            failure = f"the node of its controller was lost: {first_cause(error)}"
            call(self.queue.note_loss_reason, started.group, failure)
            call(self.queue.release_leases, started.group)
        if failure is not None:
            self._lost[self.settings.placement_group_name(started.group)] = time.monotonic() + SEARCH_S
        return started.group, failure

    def _abandon(self, started: _Started) -> None:
        """A host that could not be reached may live on: it must not, since others take what it held."""
        ray.kill(started.host, no_restart=True)
        if self._hosts.get(started.node) is started.host:
            del self._hosts[started.node]

    def _remove_placement_groups(self) -> None:
        """Remove what lost groups hold; more than once, since a controller beyond a cut link may still ask for more."""
        now_s = time.monotonic()
        self._lost = {name: until_s for name, until_s in self._lost.items() if until_s > now_s}
        if self._lost:
            remove_placement_groups(self._lost)

    def _new(self, node: str) -> Actor:
        """On its node, or elsewhere where that has just been lost."""
        strategy = NodeAffinitySchedulingStrategy(node, soft=True)
        host = ray.remote(num_cpus=0)(ControllerHost)
        return host.options(max_concurrency=MOST_GROUPS, scheduling_strategy=strategy).remote(self.queue, self.settings)
