"""A Ray of one node with its dashboard, which wants a token."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.environment import ROOT, bare_environment
from tests.support.processes import end_family, free_ports
from tests.support.waiting import answers, wait_until

BIN = Path(sys.executable).parent
CPUS = 2
KILL_AFTER_S = 5.0


@dataclass(frozen=True, kw_only=True)
class RayHead:
    """A running head node. `harness run --address auto` finds it by Ray's temporary folder."""

    folder: Path
    """Folder of all files that Ray writes, and of its log."""
    dashboard: str
    token: str
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        """Address of Ray's own port, as host:port."""
        return (self.folder / "ray" / "ray_current_cluster").read_text().strip()

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a command may use this Ray, and finds it as `auto`."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_TMPDIR": str(self.folder)}

    def answers(self) -> bool:
        """Return whether the node is up and its Jobs API answers."""
        if "Ray runtime started" not in (self.folder / "ray.log").read_text():
            return False
        return answers(f"{self.dashboard}/api/jobs/", Authorization=f"Bearer {self.token}")


@contextlib.contextmanager
def ray_head() -> Iterator[RayHead]:
    """Run Ray on free ports while the context lasts. Its folder has a short path: those of sockets have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        head = _start(Path(folder))
        try:
            wait_until(head.answers, "Ray's node and its dashboard", pause_s=0.5)
            yield head
        finally:
            end_family(head.process, wait_s=KILL_AFTER_S)


def _start(folder: Path) -> RayHead:
    gcs, dashboard, client, agent, agent_grpc, runtime_env, metrics = free_ports(7)
    command = [
        *(BIN / "ray", "start", "--head", "--block", "--disable-usage-stats", f"--num-cpus={CPUS}"),
        *("--object-store-memory=100000000", f"--port={gcs}", f"--dashboard-port={dashboard}"),
        *(f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}"),
        *(f"--dashboard-agent-grpc-port={agent_grpc}", f"--runtime-env-agent-port={runtime_env}"),
        f"--metrics-export-port={metrics}",
    ]
    token = secrets.token_hex(16)
    environment = bare_environment(
        PATH=f"{BIN}{os.pathsep}{os.environ['PATH']}",
        PYTHONPATH=str(ROOT),
        OMP_NUM_THREADS="1",
        RAY_AUTH_MODE="token",
        RAY_AUTH_TOKEN=token,
        RAY_TMPDIR=str(folder),
        # Ray's agents start slowly on a busy machine; by default the node does not wait long enough for them.
        RAY_agent_register_timeout_ms="300000",
    )
    with (folder / "ray.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
    return RayHead(folder=folder, dashboard=f"http://127.0.0.1:{dashboard}", token=token, process=process)


def training_workers(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> list[psutil.Process]:
    """Return Ray Train's worker processes below a driver or a head node.

    The one that has computed most is the first: on a busy machine the others may not have begun their first trial.
    """
    found = []
    for below in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "RayTrainWorker" in " ".join(below.cmdline()[:1]):
                times = below.cpu_times()
                found.append((times.user + times.system, below.pid, below))
    return [worker for _, _, worker in sorted(found, reverse=True)]
