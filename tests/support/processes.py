"""Free ports for the servers that tests start, and the end of a process with all that it started."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess

import psutil

TERMINATE_S = 40.0
"""Seconds that processes have to end by themselves before they are killed."""


def free_port() -> int:
    """Return a port of loopback that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def free_ports(count: int) -> list[int]:
    """Return free ports below those that Ray gives to workers (10002 and up)."""
    found: list[int] = []
    for port in range(7000 + os.getpid() % 2000, 10000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("0.0.0.0", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError("no free ports")


def end_family(process: subprocess.Popen[bytes] | subprocess.Popen[str], *, wait_s: float = TERMINATE_S) -> None:
    """End a process and all processes that it started; kill those that do not end by themselves.

    Args:
        process: the process, which may have ended.
        wait_s: seconds that they have to end by themselves.
    """
    family: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        first = psutil.Process(process.pid)
        family = [first, *first.children(recursive=True)]
    process.terminate()
    _, alive = psutil.wait_procs(family, timeout=wait_s)
    for left in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            left.kill()
    process.wait()
