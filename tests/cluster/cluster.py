"""A Ray cluster of three hosts with token authentication, and MLflow on a fourth; see `tests.cluster.hosts`."""

from __future__ import annotations

import contextlib
import pickle
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

import psutil

from harness.events import Event
from harness.tracking.outbox import Outbox
from harness.tracking.results import SweepResults
from tests.cluster.hosts import Host, Hosts, environment_of_hosts, hosts

NODES = ("node1", "node2", "node3")
"""Names of the Ray hosts, the head first."""
STORE = "store"
GCS_PORT, DASHBOARD_PORT, MLFLOW_PORT = 6379, 8265, 5000
OBJECT_STORE_BYTES = 100 * 2**20
CPUS = 1
"""Number of CPUs that Ray assumes on each node, so that a group of two workers is on two hosts."""
AGENT_PORTS = {
    "dashboard-agent-grpc": 5301,
    "dashboard-agent-listen": 5302,
    "runtime-env-agent": 5303,
    "metrics-export": 5304,
}
"""Fixed ports of Ray's agents. If agents chose them, Ray would give up if one took over 15 s to report its own."""
READ = """
import pathlib, pickle, sys
from harness.tracking.results import load_sweep
uri, name, file = sys.argv[1:]
pathlib.Path(file).write_bytes(pickle.dumps(load_sweep(uri, name)))
"""
MLFLOW_IS_UP = "Application startup complete"
"""Text that MLflow's server logs once at each start."""
START_TRIES = 3
START_S = 300.0
"""Seconds within which a service must answer. It needs only a few; the rest is for a busy machine."""


@dataclass
class TestCluster:
    """Hosts with their services, and a folder that all of them see."""

    __test__ = False  # no class of tests, whatever its name

    folder: Path
    hosts: Hosts
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    dashboard: bool = True
    _tracking_starts: int = 0

    def __post_init__(self) -> None:
        self.token_file.write_text(self.token)
        self.token_file.chmod(0o600)

    @property
    def token_file(self) -> Path:
        """File with the token that Ray demands of every client."""
        return self.folder / "token"

    @property
    def head(self) -> Host:
        """Host of Ray's control service and of the drivers."""
        return self.hosts.by_name[NODES[0]]

    @property
    def address(self) -> str:
        """Address of the Ray cluster."""
        return f"{self.head.address}:{GCS_PORT}"

    @property
    def jobs_address(self) -> str:
        """Address of Ray's Jobs API."""
        return f"http://{self.head.address}:{DASHBOARD_PORT}"

    @property
    def tracking_uri(self) -> str:
        """Address of the MLflow server for the hosts. It cannot be reached from outside."""
        return f"http://{self.hosts.by_name[STORE].address}:{MLFLOW_PORT}"

    @property
    def database(self) -> str:
        """Address of the MLflow server's database, for reading from outside."""
        return f"sqlite:///{self.folder}/mlflow.db"

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of every process on the hosts."""
        return {
            **environment_of_hosts(),
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            **more,
        }

    def start(self) -> None:
        """Start all services, in parallel where possible."""
        with ThreadPoolExecutor() as pool:
            tracking = pool.submit(self.start_tracking)
            self.start_nodes()
            tracking.result()

    def start_nodes(self) -> None:
        """Start Ray on every host, the head first."""
        self.start_node(NODES[0])
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.start_node, NODES[1:]))

    def start_node(self, name: str, **more: str) -> None:
        """Start Ray on one host, join it to the cluster, and return when it answers."""
        host = self.hosts.by_name[name]
        for _ in range(START_TRIES - 1):
            # Ray gives up on a machine so busy that the start takes half a minute.
            if self.launch(host, self._ray_start(host), log="ray-start.log", **more).wait() == 0:
                return
            host.end_processes()
        self.run(host, self._ray_start(host), **more)

    @contextlib.contextmanager
    def changed_node(self, name: str, **more: str) -> Iterator[None]:
        """Run Ray on a host other than the head with another environment while the context lasts."""
        host = self.hosts.by_name[name]
        host.end_processes()
        self.start_node(name, **more)
        try:
            yield
        finally:
            host.end_processes()
            self.start_node(name)

    def _ray_start(self, host: Host) -> list[str]:
        start = [sys.executable, "-m", "ray.scripts.scripts", "start", "--disable-usage-stats"]
        own = [f"--node-ip-address={host.address}", f"--num-cpus={CPUS}", f"--object-store-memory={OBJECT_STORE_BYTES}"]
        agents = [f"--{agent}-port={port}" for agent, port in AGENT_PORTS.items()]
        if host is not self.head:
            return [*start, *own, *agents, f"--address={self.address}"]
        dashboard = [f"--include-dashboard={str(self.dashboard).lower()}", "--dashboard-host=0.0.0.0"]
        return [*start, *own, *agents, "--head", f"--port={GCS_PORT}", *dashboard]

    def stop_tracking(self) -> None:
        """Kill MLflow's server."""
        self.hosts.by_name[STORE].end_processes()

    def start_tracking(self) -> None:
        """Start MLflow's server, with runs in SQLite and artifacts behind the server, and return when it answers."""
        host = self.hosts.by_name[STORE]
        self._tracking_starts += 1
        server = self.launch(host, [
            sys.executable, "-m", "mlflow", "server", "--host=0.0.0.0", f"--port={MLFLOW_PORT}", "--workers=1",
            f"--backend-store-uri={self.database}", "--serve-artifacts",
            f"--artifacts-destination={self.folder / 'artifacts'}",
        ], log="mlflow.log", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")  # fmt: skip
        log = host.folder / "mlflow.log"
        deadline = time.monotonic() + START_S
        while log.read_text().count(MLFLOW_IS_UP) < self._tracking_starts:
            assert server.poll() is None, f"no MLflow server:\n{log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"MLflow's server does not answer within {START_S} s"
            time.sleep(0.2)

    def launch(self, host: Host, command: Sequence[str], *, log: str, **more: str) -> Popen[str]:
        """Start a command on a host; its output goes to a log in the host's folder."""
        with (host.folder / log).open("a") as output:
            return host.start(command, env=self.environment(**more), cwd=self.folder, output=output)

    def run(self, host: Host, command: Sequence[str], *, expect: int = 0, timeout_s: float = 400.0, **more: str) -> str:
        """Run a command on a host to its end and return its output and errors together."""
        log = host.folder / f"run-{secrets.token_hex(4)}.log"
        code = self.launch(host, command, log=log.name, **more).wait(timeout=timeout_s)
        text = log.read_text()
        assert code == expect, f"exit code {code}, not {expect}, of {' '.join(command)}:\n{text[-6000:]}"
        return text

    def harness(self, *arguments: str, expect: int = 0, host: Host | None = None, **more: str) -> str:
        """Run one of our commands, by default on the head."""
        return self.run(host or self.head, [sys.executable, "-m", "harness", *arguments], expect=expect, **more)

    def sweep(self, text: str) -> Sweep:
        """Make a workload that can run on the cluster, with a storage folder of its own."""
        name = text.partition("name: ")[2].partition("\n")[0]
        (self.folder / f"{name}.yaml").write_text(text)
        return Sweep(cluster=self, name=name)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A workload on the cluster and its results."""

    cluster: TestCluster
    name: str

    @property
    def storage(self) -> Path:
        """Folder of its files, seen by all hosts."""
        return self.cluster.folder / "runs" / self.name

    def command(self, *more: str) -> list[str]:
        """Return the arguments that run it."""
        options = ["--storage", str(self.storage), "--address", self.cluster.address]
        return ["run", str(self.cluster.folder / f"{self.name}.yaml"), *options, "--no-report", *more]

    def run(self, *more: str, expect: int = 0) -> str:
        """Run it to its end and return its output."""
        return self.cluster.harness(*self.command(*more), expect=expect)

    def launch(self, *more: str, host: Host | None = None) -> Popen[str]:
        """Start it, by default on the head; its output goes to a log."""
        command = [sys.executable, "-m", "harness", *self.command(*more)]
        return self.cluster.launch(host or self.cluster.head, command, log=f"{self.name}.log")

    @property
    def output(self) -> str:
        """Output of every `launch` of it."""
        return "".join(path.read_text() for path in self.cluster.folder.glob(f"hosts/*/{self.name}.log"))

    def events(self) -> list[Event]:
        """Return all events in its outbox."""
        return [event for path in self.storage.glob("*/outbox.jsonl") for event, _ in Outbox(path).read()]

    def results(self) -> SweepResults:
        """Return its results from MLflow, read on a host because only hosts can reach the server."""
        (folder,) = self.storage.glob("*/")
        file = self.cluster.folder / f"{self.name}.pickle"
        self.cluster.run(
            self.cluster.head, [sys.executable, "-c", READ, self.cluster.tracking_uri, folder.name, str(file)]
        )
        found: SweepResults = pickle.loads(file.read_bytes())
        return found


@contextlib.contextmanager
def running_cluster(folder: Path, *, dashboard: bool = True) -> Iterator[TestCluster]:
    """Start the cluster and keep it up while the context lasts."""
    with hosts(folder / "hosts", [*NODES, STORE]) as made:
        cluster = TestCluster(folder, made, dashboard=dashboard)
        cluster.start()
        yield cluster


def first_child(process: Popen[str]) -> psutil.Process:
    """Return the command itself, which `nsenter` started on a host and waits for."""
    (child,) = psutil.Process(process.pid).children()
    return child
