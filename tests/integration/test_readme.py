"""The README's commands, as printed there and in its order."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.environment import ROOT, bare_environment
from tests.support.processes import end_family, free_port
from tests.support.ray_head import RayHead
from tests.support.waiting import answers, wait_until

pytestmark = pytest.mark.integration

README = (ROOT / "README.md").read_text()
FENCED = re.compile(r"```yaml\n(.*?)```", flags=re.DOTALL)
COMMANDS = re.findall(r"^    (\S.*)$", FENCED.sub("", README), flags=re.MULTILINE)
WORKLOAD = FENCED.search(README)

MAKE = ("make demo", "make test", 'export PATH="$PWD/.venv/bin:$PATH"')
"""Commands that this test skips: the environment is there already, and `make test` runs this very suite."""
CLUSTER = "harness run my-first.yaml --address auto --storage runs"
SERVER = "harness ui"


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Return an environment with `harness` on the path, where the README's `export` puts it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return bare_environment(PATH=path, PYTHONPATH=str(ROOT), COLUMNS="80", RAY_AUTH_MODE="disabled")


def a_clone(folder: Path) -> Path:
    """Make a folder with the workload files of a clone, and write the README's own workload file."""
    shutil.copytree(ROOT / "workloads", folder / "workloads", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    assert WORKLOAD is not None
    (folder / "my-first.yaml").write_text(WORKLOAD[1])
    return folder


def shell(command: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, f"{command}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@contextlib.contextmanager
def running(command: str, folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that does not end by itself in its own session, and end it with all processes it started."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        end_family(process)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """Run all commands that end by themselves, in the README's order, and return the folder of the clone."""
    folder = a_clone(tmp_path_factory.mktemp("clone"))
    for command in COMMANDS:
        if command not in (*MAKE, CLUSTER, SERVER):
            shell(command, folder, environment)
    return folder


def test_every_command_of_the_readme_is_tried_here() -> None:
    assert set(COMMANDS) >= {*MAKE, CLUSTER, SERVER}
    targets = (ROOT / "Makefile").read_text()
    for command in COMMANDS:
        name = command.split()[0]
        assert name in ("make", "export", "harness"), f"nothing here tries {command!r}"
        if name == "make":
            assert re.search(rf"^{command.split()[1]}:", targets, flags=re.MULTILINE)


def test_the_commands_work_as_printed(demo: Path) -> None:
    assert list(demo.glob("out/my-first-*/index.html"))


def test_the_mlflow_ui_shows_the_store_that_the_run_filled(demo: Path, environment: dict[str, str]) -> None:
    """The port is one that is free here, in the place of the usual one."""
    port = free_port()
    with running(f"{SERVER} --port {port}", demo, environment) as ui:

        def answered() -> bool:
            assert ui.poll() is None, "the UI has ended"
            return answers(f"http://127.0.0.1:{port}/")

        wait_until(answered, "MLflow's UI")
        request = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/get-by-name?experiment_name=my-first"
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert b'"name": "my-first"' in answer.read()


def test_a_sweep_runs_on_a_cluster_that_is_up_already(
    tmp_path: Path, environment: dict[str, str], empty_store: Path, shared_ray: RayHead
) -> None:
    """`auto` finds a cluster by Ray's temporary folder: here that of the Ray that tests share."""
    folder = a_clone(tmp_path)
    shutil.copy(empty_store, folder / "mlflow.db")
    done = shell(CLUSTER, folder, {**environment, **shared_ray.environment})
    assert "8 trials, 8 to run" in done.stderr
    assert list(folder.glob("out/my-first-*/index.html"))
