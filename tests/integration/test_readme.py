"""The README's commands, as printed there and in its order."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.environment import bare_environment

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
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


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_clone(tmp_path_factory.mktemp("clone"))


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
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=40)
        for left in alive:
            left.kill()
        process.wait()


def wait_until(holds: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.3)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_every_command_of_the_readme_is_tried_here() -> None:
    assert set(COMMANDS) >= {*MAKE, CLUSTER, SERVER}
    targets = (ROOT / "Makefile").read_text()
    for command in COMMANDS:
        name = command.split()[0]
        assert name in ("make", "export", "harness"), f"nothing here tries {command!r}"
        if name == "make":
            assert re.search(rf"^{command.split()[1]}:", targets, flags=re.MULTILINE)


def test_the_commands_work_as_printed(clone: Path, environment: dict[str, str]) -> None:
    for command in COMMANDS:
        if command not in (*MAKE, CLUSTER, SERVER):
            shell(command, clone, environment)
    assert list(clone.glob("out/my-first-*/index.html"))


def test_the_mlflow_ui_shows_the_store_that_the_run_filled(clone: Path, environment: dict[str, str]) -> None:
    assert (clone / "mlflow.db").exists(), "the commands before this one fill it"
    with running(SERVER, clone, environment) as ui:
        wait_until(lambda: answers("http://127.0.0.1:5000/") or ui.poll() is not None)
        assert ui.poll() is None
        request = urllib.request.Request(
            "http://127.0.0.1:5000/api/2.0/mlflow/experiments/get-by-name?experiment_name=my-first"
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert b'"name": "my-first"' in answer.read()


def test_a_sweep_runs_on_a_cluster_that_is_up_already(tmp_path: Path, environment: dict[str, str]) -> None:
    """`auto` finds a cluster by Ray's temporary folder: here our own, with a path short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as scratch:
        ours = {**environment, "RAY_TMPDIR": scratch}
        start = "ray start --head --block --port 0 --num-cpus 2 --include-dashboard false --disable-usage-stats"
        with running(start, tmp_path, ours):
            wait_until(lambda: any(Path(scratch).rglob("ray_current_cluster")))
            folder = a_clone(tmp_path)
            done = shell(CLUSTER, folder, ours)
    assert "8 trials, 8 to run" in done.stderr
    assert list(folder.glob("out/my-first-*/index.html"))
