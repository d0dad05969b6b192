"""A sweep that MLflow reports as running, with its files in a storage folder that we do not hold locked."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.entities import RunStatus
from mlflow.tracking import MlflowClient

from harness.launch.lock import locked
from harness.storage import SweepFolder
from tests.unit.cli.conftest import Done, Harness, folder, harness

__all__ = ["folder", "harness"]  # fixtures

SMALL = """\
name: small
dataset: digits
matrix: {model: resnet_cifar, depth: 8, width: 4}
recipe: {name: quick, epochs: 1}
seeds: 1
"""


def parent(folder: Path) -> tuple[MlflowClient, str, str]:
    """Return the sweep's run: the client that knows it, its id and its status."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    (run,) = client.search_runs([experiment.experiment_id], "tags.`harness.kind` = 'sweep'")
    return client, run.info.run_id, run.info.status


@pytest.fixture
def run(harness: Harness, folder: Path) -> Harness:
    (folder / "small.yaml").write_text(SMALL)

    def in_storage(storage: str, *more: str) -> Done:
        return harness("run", "small.yaml", "--launcher", "inline", "--no-report", "--storage", storage, *more)

    return in_storage


@pytest.fixture
def running(run: Harness, folder: Path) -> Callable[[], None]:
    """Run once in the folder `first` on the host `alpha`, and mark the run in MLflow as running; return the marker."""

    def say() -> None:
        client, run_id, _ = parent(folder)
        client.update_run(run_id, RunStatus.to_string(RunStatus.RUNNING))

    assert run("first").code == 0
    say()
    return say


@pytest.fixture(autouse=True)
def host(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that renames the machine, which is `alpha` to begin with."""

    def call(name: str) -> None:
        monkeypatch.setattr(socket, "gethostname", lambda: name)

    call("alpha")
    return call


def test_where_it_runs_on_another_host_it_is_refused_and_nothing_is_made(
    run: Harness, running: Callable[[], None], host: Callable[[str], None], folder: Path
) -> None:
    host("beta")
    refused = run("second")
    assert (refused.code, refused.out) == (2, "")
    assert f"another storage folder, {folder}/first on alpha: " in refused.err
    assert f"harness sync {folder}/first there" in refused.err
    assert not (folder / "second").exists()
    assert run("second", "--take-over").code == 0


def test_where_it_runs_on_this_host_its_lock_tells(run: Harness, running: Callable[[], None], folder: Path) -> None:
    (sweep,) = (folder / "first").iterdir()
    with locked(SweepFolder(sweep).lock):
        assert run("second").code == 2
    assert run("second").code == 0, "its driver died"
    running()
    shutil.rmtree(folder / "second")
    assert run("third").code == 0, "its files are gone"


def test_the_same_folder_goes_on_from_whichever_host(
    run: Harness, running: Callable[[], None], host: Callable[[str], None]
) -> None:
    host("beta")
    assert run("first").code == 0


def test_a_sweep_that_nobody_runs_may_have_any_folder(run: Harness, host: Callable[[str], None], folder: Path) -> None:
    assert run("first").code == 0
    assert parent(folder)[2] == "FINISHED"
    host("beta")
    assert run("second").code == 0
