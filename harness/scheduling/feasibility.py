"""The check whether a cluster can ever run a worker group. It comes first: Ray would wait for the others for ever."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from harness.scheduling.types import Shape


@dataclass(frozen=True, kw_only=True)
class NodeResources:
    """The resources of one node, or those left on it."""

    cpus: float
    gpus: float
    name: str = ""
    """Ray's id of the node."""

    def holds(self, shape: Shape) -> int:
        """Return how many workers of a shape fit on the node."""
        by_cpu = self.cpus / shape.cpus_per_worker
        return math.floor(min(by_cpu, self._by_gpu(shape.gpus_per_worker)) + 1e-9)

    def _by_gpu(self, each: float) -> float:
        """Return how many workers fit by GPU. One GPU provides each share: two rests of 0.4 hold no worker of 0.6."""
        if not each:
            return math.inf
        whole = math.floor(self.gpus + 1e-9)
        return self.gpus / each if each >= 1 else whole * math.floor(1 / each + 1e-9) + (self.gpus - whole) / each

    def without(self, workers: int, shape: Shape) -> NodeResources:
        """Return the resources that are left beside some workers."""
        return replace(
            self, cpus=self.cpus - workers * shape.cpus_per_worker, gpus=self.gpus - workers * shape.gpus_per_worker
        )


@dataclass(frozen=True, kw_only=True)
class ClusterUse:
    """The use of a cluster at the moment, by this sweep and by all other work."""

    free: Sequence[NodeResources]
    """Resources of each node that nobody uses."""
    placed: Collection[str]
    """Groups of this sweep that have their resources already, so that `free` lacks them."""


def place_group(shape: Shape, nodes: Sequence[NodeResources]) -> tuple[NodeResources, ...] | None:
    """Return the resources left on each node after placing one group of this shape; None if it does not fit."""
    taken = assign_workers(shape, nodes)
    if taken is None:
        return None
    return tuple(node.without(count, shape) if count else node for node, count in zip(nodes, taken, strict=True))


def assign_workers(shape: Shape, nodes: Sequence[NodeResources]) -> list[int] | None:
    """Return how many workers of a group each node takes; None if the group does not fit.

    With `pack` the group takes as few nodes as possible. With `spread` it takes as many as possible, and their numbers
    of workers differ by at most one, as far as the nodes have room. Ray does the same.
    """
    holds = [node.holds(shape) for node in nodes]
    if sum(holds) < shape.workers:
        return None
    return _spread(holds, shape.workers) if shape.placement == "spread" else _packed(holds, shape.workers)


def _packed(holds: Sequence[int], workers: int) -> list[int]:
    taken = [0] * len(holds)
    for index in sorted(range(len(holds)), key=lambda index: -holds[index]):
        taken[index] = min(workers, holds[index])
        workers -= taken[index]
    return taken


def _spread(holds: Sequence[int], workers: int) -> list[int]:
    """Add one worker to every node that has room, and repeat until all are placed."""
    taken = [0] * len(holds)
    while workers:
        for index in [index for index, room in enumerate(holds) if room > taken[index]][:workers]:
            taken[index] += 1
            workers -= 1
    return taken


def infeasibility_reason(shape: Shape, nodes: Sequence[NodeResources]) -> str | None:
    """Return why no empty cluster of these nodes can hold a group of this shape; None if it can."""
    if place_group(shape, nodes) is not None:
        return None
    room = sum(node.holds(shape) for node in nodes)
    has = f"{sum(node.cpus for node in nodes):g} CPUs and {sum(node.gpus for node in nodes):g} GPUs"
    return (
        f"{shape.workers} workers of {shape.cpus_per_worker} CPU and {shape.gpus_per_worker:g} GPU each do not fit: "
        f"the cluster has {has} on {len(nodes)} node{'s' * (len(nodes) != 1)}, room for {room}; "
        "lower scale.workers or add nodes"
    )
