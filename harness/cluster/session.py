"""A connection to a Ray cluster: the one at an address, or a local one started for the sweep."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import ray

from harness.cluster.preflight import NodeRoom
from harness.errors import ClusterUnreachable

CONNECT_TIMEOUT_S = 5.0
LOCAL_OBJECT_STORE_BYTES = 256 * 2**20
"""Trials pass events, not tensors, through Ray: a small store spares a laptop's memory."""


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be a driver of the cluster at `address` (host:port, or auto), or of a new local one where it is None.

    Raises:
        ClusterUnreachable: nobody answers there.
    """
    _connect(address)
    _quiet()
    try:
        yield
    finally:
        ray.shutdown()


def rooms() -> tuple[NodeRoom, ...]:
    """What each living node of the cluster has, whether in use or not."""
    nodes: Any = ray.nodes
    alive = (node["Resources"] for node in nodes() if node["Alive"])
    return tuple(NodeRoom(cpus=node.get("CPU", 0.0), gpus=node.get("GPU", 0.0)) for node in alive)


def _connect(address: str | None) -> None:
    if address is None:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=LOCAL_OBJECT_STORE_BYTES,
        )
        return
    _knock(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ClusterUnreachable(f"Ray at {address} does not let us in: {_first_line(error)}") from error


def _knock(address: str) -> None:
    """A dead address answers in seconds here; `ray.init` would try for a minute."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ClusterUnreachable(
            f"no Ray cluster answers at {address} ({error.strerror or error}); check --address or RAY_ADDRESS, "
            "or leave both out to start a local Ray"
        ) from error


def _quiet() -> None:
    """Ray Train's progress goes to Ray's own log files; the terminal belongs to ours."""
    for name in ("ray", "ray.train", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
