"""A connection to a Ray cluster: the one at an address, or a local one started for the sweep."""

from __future__ import annotations

import contextlib
import logging
from types import TracebackType
from typing import Any, Literal

import ray

from harness.cluster.machines import machines_of
from harness.cluster.ray_internals import find_address, on_loopback, silence_worker_messages
from harness.errors import ClusterUnreachable
from harness.measure.identity import machine_here, merged
from harness.network import connection_fault
from harness.scheduling.feasibility import NodeResources
from harness.trial import Machine

LOCAL_OBJECT_STORE_BYTES = 256 * 2**20
"""Size of a local Ray's object store. Trials pass events, not tensors, through Ray; a small store saves memory."""


class RaySession:
    """One connection as a driver to a Ray cluster, made when it is first needed and closed on leaving the context.

    All that ask the cluster raise ClusterUnreachable if nobody answers at the address.

    Args:
        address: the cluster's host:port, or auto; None starts a local Ray.
    """

    def __init__(self, address: str | None) -> None:
        self._address = address
        self.is_local = address is None
        self._stack = contextlib.ExitStack()
        self._connected = False

    def __enter__(self) -> RaySession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect. A later use connects again."""
        self._connected = False
        self._stack.close()

    def connect(self) -> None:
        """Connect unless it is done already."""
        if self._connected:
            return
        if self._address is None:
            self._stack.enter_context(on_loopback())
        _connect(self._address)
        self._stack.callback(ray.shutdown)
        _quiet()
        self._connected = True

    def nodes(self) -> tuple[NodeResources, ...]:
        """Return the total resources of each living node of the cluster, in use or not."""
        self.connect()
        return node_resources()

    def has_gpus(self) -> bool:
        """Return whether a living node has a GPU."""
        return any(node.gpus for node in self.nodes())

    def machine(self, device: Literal["cpu", "cuda"]) -> Machine:
        """Describe the nodes that a trial on this device may run on, as one machine.

        Raises:
            ClusterUnreachable: a node does not answer.
        """
        names = [node.name for node in self.nodes() if (node.gpus if device == "cuda" else node.cpus)]
        return merged(machines_of(names, device)) if names else machine_here(device)


def node_resources() -> tuple[NodeResources, ...]:
    """Return the total resources of each living node of the connected cluster, in use or not."""
    nodes: Any = ray.nodes
    alive = [(node["NodeID"], node["Resources"]) for node in nodes() if node["Alive"]]
    return tuple(NodeResources(cpus=has.get("CPU", 0.0), gpus=has.get("GPU", 0.0), name=name) for name, has in alive)


def _connect(address: str | None) -> None:
    if address is None:
        _start_local()
        return
    try:
        _check_reachable(_found() if address == "auto" else address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address == "auto" and "Could not find any running Ray" in str(error):
            raise ClusterUnreachable(
                "no Ray runs on this node, which --address auto asks for; give a cluster's host:port, "
                "or leave --address and RAY_ADDRESS out to start a local Ray"
            ) from error
        raise ClusterUnreachable(f"Ray at {address} refused the connection: {_first_line(error)}") from error


def _start_local() -> None:
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=LOCAL_OBJECT_STORE_BYTES,
        )
    except Exception as error:  # Ray raises a bare Exception if its processes take too long to start
        raise ClusterUnreachable(
            f"a local Ray does not start: {_first_line(error)} Its logs are in /tmp/ray/session_latest/logs; "
            "a machine that is busy or short of memory may need another try, or --launcher inline"
        ) from error


def _found() -> str:
    """Return the address of the cluster that `auto` means.

    Raises:
        ConnectionError: no Ray runs on this node.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    return find_address()


def _check_reachable(address: str) -> None:
    """Refuse an address where nothing listens, within seconds. `ray.init` would try for a minute."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        return
    if (fault := connection_fault(host, int(port))) is not None:
        raise ClusterUnreachable(
            f"no Ray cluster answers at {address} ({fault}); check --address or RAY_ADDRESS, "
            "or leave both out to start a local Ray"
        )


def _quiet() -> None:
    """Send Ray Train's progress to Ray's own log files, so that the terminal shows ours alone."""
    for name in ("ray", "ray.train", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Ray prints messages of raylets, such as the death of a worker, on stdout, which is for our data. The queue has
    # each reason from Ray Train, and Ray's logs have the rest. There is no public switch.
    silence_worker_messages()


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
