"""`harness submit` to a real Ray with its dashboard and its token, and with a password for MLflow."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.integration.conftest import environment
from tests.support.leaks import command_lines, files_with
from tests.support.mlflow_server import MlflowServer
from tests.support.ray_head import RayHead
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration

BIN = Path(sys.executable).parent
WORKLOAD = """\
name: short
dataset: digits
matrix: {model: resnet_cifar, depth: 8, shortcut: [plain, A], width: 8}
recipe: {name: quick, epochs: 2}
seeds: 1
"""
LONG = WORKLOAD.replace("name: short", "name: long").replace("epochs: 2", "epochs: 4000")


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A Ray, a tracking server, and a folder in which commands run."""

    folder: Path
    head: RayHead
    server: MlflowServer
    password: str

    def environment(self, **changed: str) -> dict[str, str]:
        return {
            **environment(),
            **self.head.environment,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "RAY_ADDRESS": self.head.dashboard,
            "MLFLOW_TRACKING_URI": self.server.uri,
            "MLFLOW_TRACKING_USERNAME": "planted-user",
            "MLFLOW_TRACKING_PASSWORD": self.password,
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
        with contextlib.closing(sqlite3.connect(self.server.database)) as database:
            rows = database.execute(
                "select r.status from runs r join experiments e using (experiment_id) where e.name = ?", (like,)
            )
            return {status for (status,) in rows}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, shared_ray: RayHead, mlflow_server: MlflowServer) -> Cluster:
    folder = tmp_path_factory.mktemp("submit")
    (folder / "short.yaml").write_text(WORKLOAD)
    (folder / "long.yaml").write_text(LONG)
    (folder / "secret.txt").write_text("lies beside the workload and is not shipped")
    return Cluster(folder=folder, head=shared_ray, server=mlflow_server, password=f"planted-{secrets.token_hex(8)}")


@pytest.fixture(scope="module")
def submitted(cluster: Cluster) -> tuple[str, str]:
    """Submit the short workload for the first time, and return the output and the errors."""
    return cluster.submit("short.yaml")


def test_a_submitted_sweep_trains_is_followed_to_its_code_and_goes_on_when_submitted_again(
    cluster: Cluster, submitted: tuple[str, str]
) -> None:
    out, err = submitted
    assert "short-" in out
    assert "2 finished" in out
    assert "harness-short-" in err
    assert cluster.statuses("short") == {"FINISHED"}
    again, messages = cluster.submit("short.yaml")
    assert "2 trials, 0 to run" in again
    assert "the attempt before ended as SUCCEEDED" in messages
    listed = json.loads(cluster.run("list", "jobs", "--json")[0])
    jobs = [job for job in listed if job["job"].startswith("harness-short-")]
    assert [job["exit_code"] for job in jobs] == [0, 0]
    assert jobs[0]["job"] == f"{jobs[1]['job']}-2"


def test_with_pip_the_job_runs_in_an_environment_that_ray_made_of_our_versions(cluster: Cluster) -> None:
    """Packages that the cluster already has in these versions are not downloaded again, so no index is needed."""
    (cluster.folder / "pinned.yaml").write_text(WORKLOAD.replace("name: short", "name: pinned"))
    out, _ = cluster.submit("pinned.yaml", "--pip", "--no-wait")
    job = json.loads(cluster.run("list", "jobs", "--json")[0])[0]["job"]
    out, _ = cluster.run("logs", "-f", job)
    assert "2 finished" in out
    made = list((cluster.head.folder / "ray").glob("session_2*/runtime_resources/pip/*/virtualenv/bin/python"))
    assert len(made) == 1


@pytest.mark.usefixtures("submitted")
def test_no_secret_is_left_where_others_look(cluster: Cluster) -> None:
    """Ray's folder holds its logs and unpacked files."""
    assert files_with("harness-short-", cluster.head.folder), "nothing was looked through"
    for secret in (cluster.password, "planted-user", cluster.head.token):
        assert files_with(secret, cluster.head.folder, cluster.folder, cluster.server.folder) == []
    request = urllib.request.Request(
        f"{cluster.head.dashboard}/api/jobs/", headers={"Authorization": f"Bearer {cluster.head.token}"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        listed = answer.read().decode()
    assert "harness-short-" in listed
    for secret in (cluster.password, "planted-user", cluster.server.uri):
        assert secret not in listed


def test_a_second_submit_joins_and_a_stop_leaves_no_run_running(cluster: Cluster) -> None:
    _, err = cluster.submit("long.yaml", "--no-wait")
    job = err.split()[0]
    follower = cluster.start("submit", "long.yaml", "--storage", str(cluster.folder / "runs"))
    outboxes = cluster.folder / "runs"
    wait_until(
        lambda: any("EpochEnded" in path.read_text() for path in outboxes.glob("long-*/outbox.jsonl")), "an epoch"
    )
    assert not any(cluster.password in line for line in command_lines(psutil.process_iter()))
    assert cluster.run("stop")[0] == f"{job}: STOPPED\n"
    out, messages = follower.communicate(timeout=100)
    assert f"{job} runs already: joined it" in messages
    assert follower.returncode == 5, messages + out
    assert cluster.statuses("long") == {"KILLED"}
    assert json.loads(cluster.run("status", "--json")[0])["exit_code"] == 5
    assert list(outboxes.glob("long-*/trials/*/*checkpoint*")), "no checkpoint was kept"


def test_without_its_token_the_cluster_explains_itself(cluster: Cluster) -> None:
    _, err = cluster.run("status", expect=4, RAY_AUTH_MODE="disabled")
    assert "wants its token (401): set RAY_AUTH_MODE=token" in err
    _, err = cluster.run("status", expect=4, RAY_AUTH_TOKEN="of-another-cluster-of-another-cluster")
    assert "refuses the token (403)" in err


def test_a_server_that_is_not_ray_explains_itself(cluster: Cluster) -> None:
    _, err = cluster.run("status", expect=4, RAY_ADDRESS=cluster.server.uri)
    assert "is not Ray's dashboard" in err
