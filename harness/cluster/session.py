"""A connection to a Ray cluster: the one at an address, or a local one started for the sweep."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import ray

from harness.cluster.machines import machines_of
from harness.cluster.probe import check_cluster
from harness.cluster.ray_internals import job_config, local_environment, silence_worker_messages, without_uv_hook
from harness.errors import ClusterUnreachable, message_of
from harness.measure.identity import machine_here, merged
from harness.scheduling.feasibility import NodeResources
from harness.trial import Machine
from harness.waits import say_on_stderr, waiting_for

LOCAL_OBJECT_STORE_BYTES = 256 * 2**20
"""Size of a local Ray's object store. Trials pass events, not tensors, through Ray; a small store saves memory."""


DEFAULT_FOLDER = Path("/tmp/ray")  # noqa: S108
"""Ray's folder for temporary files, unless variables choose another."""
LONGEST_FOLDER = 40
"""Longest path in bytes of Ray's temporary folder: the path of a socket has 107 at most, and Ray adds up to 66."""


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
            self._stack.enter_context(local_environment())
        _connect(self._address)
        self._stack.callback(ray.shutdown)
        _quiet()
        self._connected = True

    @property
    def logs(self) -> Path:
        """Folder of Ray's logs on every node: of a local Ray, or Ray's default."""
        return (_temporary_folder() if self.is_local else DEFAULT_FOLDER) / "session_latest" / "logs"

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
        with waiting_for("a local Ray to start"):
            _start_local()
        return
    with waiting_for(f"Ray at {address} to answer", "Ctrl-C ends this."):
        check_cluster(address)
        try:
            with without_uv_hook():
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, job_config=job_config())
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ClusterUnreachable(f"Ray at {address} refused the connection: {message_of(error)}") from error


def _start_local() -> None:
    folder = _temporary_folder()
    if folder == DEFAULT_FOLDER != _usual_folder():
        say_on_stderr(
            f"{_usual_folder()} is too long for the sockets of a local Ray, whose files are in {folder} instead"
        )
    python = shlex.quote(sys.executable)
    try:
        with without_uv_hook():
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                job_config=job_config(),
                object_store_memory=LOCAL_OBJECT_STORE_BYTES,
                # Ray puts the path into a shell command as it is.
                runtime_env={"py_executable": python} if python != sys.executable else None,
                _temp_dir=str(folder),
            )
    except Exception as error:  # Ray raises a bare Exception if its processes take too long to start
        raise ClusterUnreachable(
            f"a local Ray does not start: {message_of(error)} Its logs are in {folder}/session_latest/logs; "
            "a machine that is busy or short of memory may need another try, or --launcher inline"
        ) from error


def _usual_folder() -> Path:
    """Return the folder that Ray chooses itself."""
    chosen = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR")
    return Path(chosen).absolute() / "ray" if chosen else DEFAULT_FOLDER


def _temporary_folder() -> Path:
    """Return Ray's usual folder, or one below /tmp if the paths of its sockets would be too long there."""
    usual = _usual_folder()
    if len(os.fsencode(usual)) <= LONGEST_FOLDER:
        return usual
    return DEFAULT_FOLDER


def _quiet() -> None:
    """Send Ray Train's progress to Ray's own log files, so that the terminal shows ours alone."""
    for name in ("ray", "ray.train", "ray.tune", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    # Ray prints messages of raylets, such as the death of a worker, on stdout, which is for our data. The queue has
    # each reason from Ray Train, and Ray's logs have the rest. There is no public switch.
    silence_worker_messages()
