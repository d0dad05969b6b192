"""One look at the cluster: which groups can start, and what those that cannot are waiting for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray

from harness.cluster.group_settings import GroupSettings
from harness.cluster.placement_groups import placed_groups
from harness.cluster.ray_internals import PRIVATE_NAMES
from harness.cluster.session import node_resources
from harness.scheduling.feasibility import ClusterUse, NodeResources
from harness.scheduling.group_manager import Groups
from harness.scheduling.types import Shape
from harness.waits import Pauses, say_on_stderr

SHOWN = 3
"""Most jobs that a message names; it counts the others."""
ENTRYPOINT_LENGTH = 60
WORKERS_S = 45.0
"""Seconds of silence while the first workers start, which takes 5 to 20 s on a machine with nothing else to do."""


class Reconciliation:
    """Starts and ends groups as the cluster allows, and says what the sweep waits for if others use the room.

    Args:
        groups: the sweep's groups.
        settings: the sweep's settings.
        is_shared: whether other work may run on the cluster.
        say: takes each line for the user.
    """

    def __init__(
        self,
        groups: Groups,
        settings: GroupSettings,
        *,
        is_shared: bool,
        say: Callable[[str], None] = say_on_stderr,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._groups, self._settings, self._is_shared = groups, settings, is_shared
        self._say = say
        self._for_room, self._for_workers = Pauses(clock), Pauses(clock, first_s=WORKERS_S)

    def run(self) -> None:
        """Look at the cluster once."""
        nodes = node_resources()
        use = self._use(nodes) if self._is_shared else None
        self._groups.reconcile(nodes, use)
        if use is not None and (crowded_out := self._groups.crowded_out):
            if self._for_room.is_due():
                self._say(_waiting(crowded_out, nodes, use))
            return
        self._for_room.restart()
        starting = self._groups.starting
        if not starting or len(starting) < len(self._groups.running):
            self._for_workers.restart()
        elif self._for_workers.is_due():
            self._say(
                f"Waiting for the first workers to start for {max(starting.values()):.0f} s, {len(starting)} groups. "
                f"Ray's logs of each node are in {self._settings.ray_logs}; Ctrl-C ends this."
            )

    def _use(self, nodes: Sequence[NodeResources]) -> ClusterUse:
        available: Mapping[str, Mapping[str, float]] = PRIVATE_NAMES["available_resources"].find()()
        free = [
            NodeResources(
                cpus=available[node.name].get("CPU", 0.0), gpus=available[node.name].get("GPU", 0.0), name=node.name
            )
            for node in nodes
            if node.name in available
        ]
        placed = placed_groups(self._settings.placement_group_name, self._groups.running)
        return ClusterUse(free=free, placed=placed)


def _waiting(crowded_out: Mapping[Shape, float], nodes: Sequence[NodeResources], use: ClusterUse) -> str:
    """Return what a sweep waits for, since when, who uses it, and what the user can do."""
    shapes = ", ".join(map(str, crowded_out))
    used = [
        f"{sum(getattr(node, name) for node in nodes) - sum(getattr(node, name) for node in use.free):g} of "
        f"{sum(getattr(node, name) for node in nodes):g} {unit}"
        for name, unit in (("gpus", "GPUs"), ("cpus", "CPUs"))
        if any(getattr(node, name) for node in nodes)
    ]
    return (
        f"Waiting for room on the cluster for {max(crowded_out.values()):.0f} s: {shapes}. In use are "
        f"{' and '.join(used)}, by this sweep and {_other_jobs()}. Trials start when there is room; Ctrl-C ends this."
    )


def _other_jobs() -> str:
    """Return the other jobs of the cluster, with their commands and hosts."""
    own = ray.get_runtime_context().get_job_id()
    jobs: Sequence[Mapping[str, Any]] = PRIVATE_NAMES["jobs"].find()()
    others = [job for job in jobs if not job["IsDead"] and job["JobID"] != own]
    named = [
        f"{job['Entrypoint'][:ENTRYPOINT_LENGTH]} (process {job['DriverPid']} on {job['DriverIPAddress']})"
        for job in others[:SHOWN]
    ]
    more = [f"{len(others) - SHOWN} jobs more"] if len(others) > SHOWN else []
    return ", ".join([*named, *more]) or "work whose job has ended"
