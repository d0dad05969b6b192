"""The hardware and driver of a cluster's nodes, as far as they affect the speed of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import first_cause
from harness.errors import ClusterUnreachable
from harness.measure.identity import machine_here
from harness.trial import Machine
from harness.waits import waiting_for

TIMEOUT_S = 120.0
"""Seconds for all nodes together; each imports torch."""


def machines_of(nodes: Sequence[str], device: Literal["cpu", "cuda"]) -> list[Machine]:
    """Return the machine of each node, by a task on it.

    Args:
        nodes: Ray's ids of the nodes.
        device: device of the trials.

    Raises:
        ClusterUnreachable: a node does not answer.
    """
    task = ray.remote(num_cpus=0, max_retries=0)(machine_here)
    tasks = [
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(device)
        for node in nodes
    ]
    get: Any = ray.get
    try:
        with waiting_for("the nodes to describe their devices", "Ctrl-C ends this."):
            machines: list[Machine] = get(tasks, timeout=TIMEOUT_S)
    except ray.exceptions.RayError as error:
        raise ClusterUnreachable(
            f"a node does not say which machine it is, which the id of a timing trial needs: {first_cause(error)}"
        ) from error
    return machines
