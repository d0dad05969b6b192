"""The check of every node before any worker group starts: one task a node, all at the same time."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from harness.cluster.actor import first_cause
from harness.cluster.node_check import (
    NodeCheckRequest,
    NodeCheckResult,
    check_node,
    driver_file,
    node_file,
    raise_on_failures,
    versions,
)
from harness.errors import ClusterUnreachable, Stopped
from harness.storage import write_atomic
from harness.waits import waiting_for

if TYPE_CHECKING:
    from workloads.datasets.spec import DatasetSpec

TIMEOUT_S = 300.0
"""Seconds for all nodes together. A node may have to install a runtime environment of gigabytes first."""


def inspect(storage: Path, datasets: Iterable[DatasetSpec], *, stopped: Callable[[], bool]) -> None:
    """Check every node. A node that is lost during the check is left out, as the sweep would leave it out.

    Args:
        storage: the sweep's folder.
        datasets: specifications of the data sets that are trained on.
        stopped: called every second; a node that installs an environment may take minutes to answer.

    Raises:
        StorageError: a node lacks a data set, cannot write to the storage folder, or has another one.
        Infeasible: a node has other versions than the driver's.
        ClusterUnreachable: a node does not answer.
        Stopped: `stopped` returned True.
    """
    request = NodeCheckRequest(storage=storage, token=uuid.uuid4().hex, datasets=tuple(datasets))
    nodes = _nodes()
    write_atomic(driver_file(storage), request.token.encode())
    try:
        with waiting_for(f"the check of {len(nodes)} nodes", "One may be installing packages; Ctrl-C ends this."):
            results = dict(_results(request, nodes, stopped))
        seen = {nodes[node]: node_file(request, node).exists() for node in results}
        raise_on_failures({nodes[node]: result for node, result in results.items()}, versions(), seen)
    finally:
        for path in (driver_file(storage), *(node_file(request, node) for node in nodes)):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _nodes() -> dict[str, str]:
    """Return the living nodes: id -> host name and address."""
    listed: Any = ray.nodes
    return {
        node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
        for node in listed()
        if node["Alive"]
    }


def _results(
    request: NodeCheckRequest, nodes: Mapping[str, str], stopped: Callable[[], bool]
) -> Iterator[tuple[str, NodeCheckResult]]:
    task = ray.remote(num_cpus=0, max_retries=0)(check_node)
    tasks = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(request, node): node
        for node in nodes
    }
    silent = _wait(list(tasks), stopped)
    for reference, node in tasks.items():
        if reference not in silent:
            with _lost_nodes_left_out(node, nodes[node]):
                get: Any = ray.get
                yield node, get(reference)
        elif node in _nodes():
            raise ClusterUnreachable(
                f"node {nodes[node]} does not answer within {TIMEOUT_S:.0f} s; remove it, or try later"
            )


def _wait(
    tasks: Sequence[Any], stopped: Callable[[], bool], clock: Callable[[], float] = time.monotonic
) -> Sequence[Any]:
    """Return the tasks that did not end in time."""
    wait: Any = ray.wait
    silent, deadline_s = tasks, clock() + TIMEOUT_S
    while silent and clock() < deadline_s:
        if stopped():
            raise Stopped("stopped before any trial had started")
        _, silent = wait(list(tasks), num_returns=len(tasks), timeout=1.0)
    return silent


@contextlib.contextmanager
def _lost_nodes_left_out(node: str, name: str) -> Iterator[None]:
    try:
        yield
    except ray.exceptions.RayError as error:
        if node in _nodes():
            raise ClusterUnreachable(f"node {name} cannot start our task: {first_cause(error)}") from error
