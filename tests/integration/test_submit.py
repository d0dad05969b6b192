"""`harness submit` against a real Ray with its dashboard, its tokens, and an MLflow that requires a password."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import environment

pytestmark = pytest.mark.integration

BIN = Path(sys.executable).parent
START_S = 300
"""Seconds within which Ray and MLflow must start. They take seconds, on a busy machine minutes."""
WORKLOAD = """\
name: short
dataset: digits
matrix: {model: resnet_cifar, depth: 8, shortcut: [plain, A], width: 8}
recipe: {name: quick, epochs: 2}
seeds: 1
"""
LONG = WORKLOAD.replace("name: short", "name: long").replace("epochs: 2", "epochs: 4000")


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


def wait_for(what: Callable[[], bool], message: str, timeout_s: float = START_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain: {message}"
        time.sleep(0.5)


@dataclass
class Cluster:
    """A head node, a tracking server, and a folder in which commands run."""

    folder: Path
    dashboard: str
    tracking: str
    token: str
    password: str

    def environment(self, **changed: str) -> dict[str, str]:
        return {
            **environment(),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_ADDRESS": self.dashboard,
            "MLFLOW_TRACKING_URI": self.tracking,
            "MLFLOW_TRACKING_USERNAME": "planted-user",
            "MLFLOW_TRACKING_PASSWORD": self.password,
            # Ray's agents start slowly on a busy machine; by default the node does not wait long enough for them.
            "RAY_agent_register_timeout_ms": "300000",
            **changed,
        }

    def start(self, *arguments: str, **changed: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "harness", *arguments],
            cwd=self.folder,
            env=self.environment(**changed),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, expect: int = 0, **changed: str) -> tuple[str, str]:
        process = self.start(*arguments, **changed)
        out, err = process.communicate(timeout=500)
        assert process.returncode == expect, f"exit code {process.returncode}, not {expect}:\n{err}\n{out}"
        return out, err

    def submit(self, workload: str, *more: str, expect: int = 0) -> tuple[str, str]:
        return self.run("submit", workload, "--storage", str(self.folder / "runs"), *more, expect=expect)

    def statuses(self, like: str) -> set[str]:
        """Return the statuses of all runs, trials included, in MLflow's experiment of this name."""
        with contextlib.closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            rows = database.execute(
                "select r.status from runs r join experiments e using (experiment_id) where e.name = ?", (like,)
            )
            return {status for (status,) in rows}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("submit")
    gcs, dashboard, client, agent, agent_grpc, runtime_env, metrics, tracking = free_ports(8)
    made = Cluster(
        folder=folder,
        dashboard=f"http://127.0.0.1:{dashboard}",
        tracking=f"http://127.0.0.1:{tracking}",
        token=secrets.token_hex(16),
        password=f"planted-{secrets.token_hex(8)}",
    )
    (folder / "short.yaml").write_text(WORKLOAD)
    (folder / "long.yaml").write_text(LONG)
    (folder / "secret.txt").write_text("lies beside the workload and is not shipped")
    ray_folder = folder.parent / "r"  # sockets have paths of 107 bytes at most
    ray = [
        *("start", "--head", "--block", "--disable-usage-stats", "--num-cpus=2", "--object-store-memory=100000000"),
        *(f"--port={gcs}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"),
        *(f"--dashboard-agent-listen-port={agent}", f"--dashboard-agent-grpc-port={agent_grpc}"),
        *(f"--runtime-env-agent-port={runtime_env}", f"--metrics-export-port={metrics}", f"--temp-dir={ray_folder}"),
    ]
    mlflow = [
        *("server", "--host", "127.0.0.1", "--port", str(tracking), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "art")),
    ]
    started = [_start(made, "ray", ray), _start(made, "mlflow", mlflow)]
    try:
        wait_for(lambda: _answers(f"{made.tracking}/health"), "MLflow")
        wait_for(lambda: "no job" in made.start("status").communicate()[1], "Ray's dashboard")
        wait_for(lambda: "Ray runtime started" in (folder / "ray.log").read_text(), "Ray's node")
        yield made
    finally:
        _end(started)


def _start(cluster: Cluster, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
    settings = {**cluster.environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # job runners cost a core
    del settings["RAY_ADDRESS"]
    if name == "ray":
        settings = {key: value for key, value in settings.items() if not key.startswith("MLFLOW_TRACKING")}
    with (cluster.folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [BIN / name, *arguments], cwd=cluster.folder, env=settings, stdout=log, stderr=subprocess.STDOUT
        )


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _end(started: list[subprocess.Popen[bytes]]) -> None:
    """End these processes and all below them."""
    for process in started:
        below = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        for pid in below:
            with contextlib.suppress(psutil.NoSuchProcess):
                psutil.Process(pid).kill()
        process.wait()


def holders(secret: str, *folders: Path) -> list[Path]:
    """Return the files that contain a secret."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*")):
        with contextlib.suppress(OSError):
            if path.is_file() and secret.encode() in path.read_bytes():
                found.append(path)
    return found


def in_process_lists(secret: str) -> bool:
    lines = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            lines.append(" ".join(process.cmdline()))
    return any(secret in line for line in lines)


def test_a_submitted_sweep_trains_is_followed_to_its_code_and_goes_on_when_submitted_again(cluster: Cluster) -> None:
    out, err = cluster.submit("short.yaml")
    assert "short-" in out
    assert "2 finished" in out
    assert "harness-short-" in err
    assert cluster.statuses("short") == {"FINISHED"}
    again, said = cluster.submit("short.yaml")
    assert "2 trials, 0 to run" in again
    assert "the attempt before ended as SUCCEEDED" in said
    jobs = json.loads(cluster.run("list", "jobs", "--json")[0])
    assert [job["exit_code"] for job in jobs] == [0, 0]
    assert jobs[0]["job"] == f"{jobs[1]['job']}-2"


def test_with_pip_the_job_runs_in_an_environment_that_ray_made_of_our_versions(cluster: Cluster) -> None:
    """Packages that the cluster already has in these versions are not downloaded again, so no index is needed."""
    (cluster.folder / "pinned.yaml").write_text(WORKLOAD.replace("name: short", "name: pinned"))
    out, _ = cluster.submit("pinned.yaml", "--pip", "--no-wait")
    job = json.loads(cluster.run("list", "jobs", "--json")[0])[0]["job"]
    out, _ = cluster.run("logs", "-f", job)
    assert "2 finished" in out
    made = list((cluster.folder.parent / "r").glob("session_2*/runtime_resources/pip/*/virtualenv/bin/python"))
    assert len(made) == 1


def test_no_secret_is_left_where_others_look(cluster: Cluster) -> None:
    """This runs after the sweeps of the previous test. Ray's folder holds its logs and unpacked files."""
    ray_folder = cluster.folder.parent / "r"
    assert holders("harness-short-", ray_folder), "nothing was looked through"
    for secret in (cluster.password, "planted-user", cluster.token):
        assert holders(secret, ray_folder, cluster.folder) == []
    request = urllib.request.Request(
        f"{cluster.dashboard}/api/jobs/", headers={"Authorization": f"Bearer {cluster.token}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        listed = answer.read().decode()
    assert "harness-short-" in listed
    for secret in (cluster.password, "planted-user", cluster.tracking):
        assert secret not in listed


def test_a_second_submit_joins_and_a_stop_leaves_no_run_running(cluster: Cluster) -> None:
    _, err = cluster.submit("long.yaml", "--no-wait")
    job = err.split()[0]
    follower = cluster.start("submit", "long.yaml", "--storage", str(cluster.folder / "runs"))
    outboxes = cluster.folder / "runs"
    wait_for(lambda: any("EpochEnded" in path.read_text() for path in outboxes.glob("long-*/outbox.jsonl")), "an epoch")
    assert not in_process_lists(cluster.password)
    assert cluster.run("stop")[0] == f"{job}: STOPPED\n"
    out, said = follower.communicate(timeout=100)
    assert f"{job} runs already: joined it" in said
    assert follower.returncode == 5, said + out
    assert cluster.statuses("long") == {"KILLED"}
    assert json.loads(cluster.run("status", "--json")[0])["exit_code"] == 5
    assert list(outboxes.glob("long-*/trials/*/*checkpoint*")), "no checkpoint was kept"


def test_without_its_token_the_cluster_explains_itself(cluster: Cluster) -> None:
    _, err = cluster.run("status", expect=4, RAY_AUTH_MODE="disabled")
    assert "wants its token (401): set RAY_AUTH_MODE=token" in err
    _, err = cluster.run("status", expect=4, RAY_AUTH_TOKEN="of-another-cluster-of-another-cluster")
    assert "refuses the token (403)" in err


def test_a_server_that_is_not_ray_explains_itself(cluster: Cluster) -> None:
    _, err = cluster.run("status", expect=4, RAY_ADDRESS=cluster.tracking)
    assert "is not Ray's dashboard" in err
