"""Can this cluster ever run it? Asked before anything is scheduled: Ray waits for ever for what cannot be placed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.cluster.queue import Shape


@dataclass(frozen=True, kw_only=True)
class NodeRoom:
    """What one node has, or has left."""

    cpus: float
    gpus: float

    def holds(self, shape: Shape) -> int:
        """How many workers of a shape fit."""
        by_cpu = self.cpus / shape.cpus_per_worker
        return math.floor(min(by_cpu, self._by_gpu(shape.gpus_per_worker)) + 1e-9)

    def _by_gpu(self, each: float) -> float:
        """A share of a GPU is a share of one: two rests of 0.4 hold no worker of 0.6."""
        if not each:
            return math.inf
        whole = math.floor(self.gpus + 1e-9)
        return self.gpus / each if each >= 1 else whole * math.floor(1 / each + 1e-9) + (self.gpus - whole) / each

    def without(self, workers: int, shape: Shape) -> NodeRoom:
        """What is left beside some workers."""
        return replace(
            self, cpus=self.cpus - workers * shape.cpus_per_worker, gpus=self.gpus - workers * shape.gpus_per_worker
        )


def place(shape: Shape, nodes: Sequence[NodeRoom]) -> tuple[NodeRoom, ...] | None:
    """The nodes' room after one group of this shape was packed on as few of them as can be; None if it does not fit."""
    left, rest = shape.workers, list(nodes)
    for index in sorted(range(len(rest)), key=lambda index: -rest[index].holds(shape)):
        taken = min(left, rest[index].holds(shape))
        rest[index] = rest[index].without(taken, shape)
        left -= taken
    return tuple(rest) if left == 0 else None


def obstacle(shape: Shape, nodes: Sequence[NodeRoom]) -> str | None:
    """Why no empty cluster of these nodes can hold a group of this shape; None if it can."""
    if place(shape, nodes) is not None:
        return None
    room = sum(node.holds(shape) for node in nodes)
    has = f"{sum(node.cpus for node in nodes):g} CPUs and {sum(node.gpus for node in nodes):g} GPUs"
    return (
        f"{shape.workers} workers of {shape.cpus_per_worker} CPU and {shape.gpus_per_worker:g} GPU each do not fit: "
        f"the cluster has {has} on {len(nodes)} node{'s' * (len(nodes) != 1)}, room for {room}; "
        "lower scale.workers or add nodes"
    )
