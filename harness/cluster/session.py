"""A connection to a Ray cluster: the one at an address, or a local one started for the sweep."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import ray
from ray._private import ray_constants, services

from harness.cluster.preflight import NodeRoom
from harness.errors import ClusterUnreachable

CONNECT_TIMEOUT_S = 5.0
LOCAL_OBJECT_STORE_BYTES = 256 * 2**20
"""Trials pass events, not tensors, through Ray: a small store spares a laptop's memory."""
MAY_BE_JOINED = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Ray reads it on every system, whatever its name says: at 0 no computer can join, and all listen on 127.0.0.1."""


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be a driver of the cluster at `address` (host:port, or auto), or of a new local one where it is None.

    Raises:
        ClusterUnreachable: nobody answers there.
    """
    with contextlib.nullcontext() if address is not None else _on_loopback():
        _connect(address)
        _quiet()
        try:
            yield
        finally:
            ray.shutdown()


def rooms() -> tuple[NodeRoom, ...]:
    """What each living node of the cluster has, whether in use or not."""
    nodes: Any = ray.nodes
    alive = [(node["NodeID"], node["Resources"]) for node in nodes() if node["Alive"]]
    return tuple(NodeRoom(cpus=has.get("CPU", 0.0), gpus=has.get("GPU", 0.0), name=name) for name, has in alive)


def cluster_has_gpus(address: str) -> bool:
    """Whether a living node of the cluster at `address` has a GPU.

    Raises:
        ClusterUnreachable: nobody answers there.
    """
    with connected(address):
        return any(node.gpus for node in rooms())


def _connect(address: str | None) -> None:
    if address is None:
        _start_local()
        return
    try:
        _knock(_found() if address == "auto" else address)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address == "auto" and "Could not find any running Ray" in str(error):
            raise ClusterUnreachable(
                "no Ray runs on this node, which --address auto asks for; give a cluster's host:port, "
                "or leave --address and RAY_ADDRESS out to start a local Ray"
            ) from error
        raise ClusterUnreachable(f"Ray at {address} does not let us in: {_first_line(error)}") from error


@contextlib.contextmanager
def _on_loopback() -> Iterator[None]:
    """Have a local Ray listen on loopback alone, unless the user's environment says that others may join it."""
    if MAY_BE_JOINED in os.environ:
        yield
        return
    others_may, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    os.environ[MAY_BE_JOINED] = "0"  # for the processes that this one starts
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = others_may
        del os.environ[MAY_BE_JOINED]


def _start_local() -> None:
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=LOCAL_OBJECT_STORE_BYTES,
        )
    except Exception as error:  # Ray raises a bare Exception where its processes take too long to start
        raise ClusterUnreachable(
            f"a local Ray does not start: {_first_line(error)} Its logs are in /tmp/ray/session_latest/logs; "
            "a machine that is busy or short of memory may need another try, or --launcher inline"
        ) from error


def _found() -> str:
    """What Ray takes `auto` for: a cluster that runs on this node.

    Raises:
        ConnectionError: none does.
    """
    logging.getLogger("ray").setLevel(logging.ERROR)
    found: str = services.get_ray_address_from_environment("auto", None)
    return found


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
    # What raylets report, such as the death of a worker, Ray prints on stdout, which is for our data. The queue has
    # each reason from Ray Train, and Ray's logs have the rest. There is no public switch.
    ray._private.worker._worker_logs_enabled = False  # noqa: SLF001


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
