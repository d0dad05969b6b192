"""Controller hosts: one process a node for the controllers of worker groups, started when the first group needs it."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

import ray
import ray.train
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import ActorHandle, first_cause
from harness.cluster.group_settings import GroupSettings
from harness.cluster.placement_groups import remove_placement_groups
from harness.cluster.queue_client import QueueClient
from harness.cluster.ray_internals import is_startup_timeout
from harness.cluster.worker_group import fit
from harness.scheduling.types import GroupEnd, Shape

MOST_GROUPS = 1000
"""Maximum groups per host process; each uses one thread."""


SEARCH_S = 120.0
"""Seconds to look for a lost group's placement groups: longer than Ray takes to declare a silent node dead."""


class ControllerHost:
    """The process that calls Ray Train's `fit()`, in one thread a group.

    It is an actor and not the driver, because a call of `fit` cannot be cancelled. An actor can be killed, and Ray
    Train's controllers and workers end with it.
    """

    def __init__(self, queue: QueueClient, settings: GroupSettings) -> None:
        self._queue, self._settings = queue, settings

    def run(self, group: str, shape: Shape, avoid: Collection[str]) -> GroupEnd:
        """Run one worker group until the queue has no trial for it."""
        try:
            fit(group, shape, self._queue, self._settings, avoid)
        except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
            self._queue.release_leases(group)
            return GroupEnd(reason=first_cause(error), no_room=is_startup_timeout(error))
        return GroupEnd(reason=None)


class HostClient:
    """Calls a `ControllerHost`."""

    def __init__(self, queue: QueueClient, settings: GroupSettings, node: str) -> None:
        """Start a host on a node, or on another one if that node has just been lost."""
        strategy = NodeAffinitySchedulingStrategy(node, soft=True)
        actor = ray.remote(num_cpus=0)(ControllerHost)
        self._actor: ActorHandle = actor.options(max_concurrency=MOST_GROUPS, scheduling_strategy=strategy).remote(
            queue, settings
        )

    def run(self, group: str, shape: Shape, avoid: Collection[str]) -> ray.ObjectRef[GroupEnd]:
        """Start a group. Return the reference to its end."""
        end: ray.ObjectRef[GroupEnd] = self._actor.run.remote(group, shape, avoid)
        return end

    def kill(self) -> None:
        """Kill the host's process, and with it the controllers and workers of its groups."""
        ray.kill(self._actor, no_restart=True)


@dataclass(frozen=True, kw_only=True)
class _Started:
    group: str
    node: str
    host: HostClient


@dataclass
class ControllerHosts:
    """Starts groups, each on a node of its workers: Ray Train keeps each group's controller on the node of its host."""

    queue: QueueClient
    settings: GroupSettings
    _hosts: dict[str, HostClient] = field(default_factory=dict)
    _ends: dict[ray.ObjectRef[GroupEnd], _Started] = field(default_factory=dict)
    """Reference to the result of `ControllerHost.run` -> its group."""
    _lost: dict[str, float] = field(default_factory=dict)
    """Names of placement groups that may still exist -> when to stop looking for them."""

    def start(self, group: str, shape: Shape, node: str, avoid: Collection[str]) -> None:
        """Start a group on the host of a node. Keep its workers off the nodes to avoid."""
        if node not in self._hosts:
            self._hosts[node] = HostClient(self.queue, self.settings, node)
        host = self._hosts[node]
        self._ends[host.run(group, shape, avoid)] = _Started(group=group, node=node, host=host)

    def ended(self) -> dict[str, GroupEnd]:
        """Return the groups that ended since the last call.

        Raises:
            ray.exceptions.RayTaskError: the queue could not record the loss of a group's trial.
        """
        running = list(self._ends)
        ready = ray.wait(running, num_returns=len(running), timeout=0)[0] if running else []
        ends = dict(self._end(self._ends.pop(reference), reference) for reference in ready)
        self._remove_placement_groups()
        return ends

    def kill(self, group: str) -> None:
        """Kill the workers of a group that hangs."""
        self.queue.kill_workers(group)

    def _end(self, started: _Started, reference: ray.ObjectRef[GroupEnd]) -> tuple[str, GroupEnd]:
        try:
            end = ray.get(reference)
        except ray.exceptions.RayActorError as error:
            self._abandon(started)
            failure = f"the node of its controller was lost: {first_cause(error)}"
            self.queue.note_loss_reason(started.group, failure)
            self.queue.release_leases(started.group)
            end = GroupEnd(reason=failure)
        if end.reason is not None:
            self._lost[self.settings.placement_group_name(started.group)] = time.monotonic() + SEARCH_S
        return started.group, end

    def _abandon(self, started: _Started) -> None:
        """Kill a host that could not be reached: it may still run, and other groups take its resources."""
        started.host.kill()
        if self._hosts.get(started.node) is started.host:
            del self._hosts[started.node]

    def _remove_placement_groups(self) -> None:
        """Remove lost groups' placement groups, several times: a controller that was cut off may still ask for more."""
        now_s = time.monotonic()
        self._lost = {name: until_s for name, until_s in self._lost.items() if until_s > now_s}
        if self._lost:
            remove_placement_groups(self._lost)
