"""The hardware and driver of a cluster's nodes, as far as they affect the speed of a step."""

from __future__ import annotations

from typing import Any, Literal

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import first_cause
from harness.cluster.session import connected
from harness.errors import ClusterUnreachable
from harness.measure.identity import machine_here, merged
from harness.trial import Machine

TIMEOUT_S = 120.0
"""Seconds for all nodes together; each imports torch."""


def machine_of_cluster(address: str, device: Literal["cpu", "cuda"]) -> Machine:
    """Describe the nodes that a trial on this device may run on, as one machine.

    Raises:
        ClusterUnreachable: nobody answers at the address, or a node does not.
    """
    with connected(address):
        nodes: Any = ray.nodes
        needed = "GPU" if device == "cuda" else "CPU"
        alive = [node["NodeID"] for node in nodes() if node["Alive"] and node["Resources"].get(needed)]
        return merged(_ask(alive, device)) if alive else machine_here(device)


def _ask(nodes: list[str], device: Literal["cpu", "cuda"]) -> list[Machine]:
    task = ray.remote(num_cpus=0, max_retries=0)(machine_here)
    asked = [
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(device)
        for node in nodes
    ]
    get: Any = ray.get
    try:
        answers: list[Machine] = get(asked, timeout=TIMEOUT_S)
    except ray.exceptions.RayError as error:
        raise ClusterUnreachable(
            f"a node does not say which machine it is, which the id of a timing trial needs: {first_cause(error)}"
        ) from error
    return answers
