"""A sweep that MLflow says is running, with its files in a storage folder where no lock of ours holds."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from mlflow.entities import RunStatus
from mlflow.tracking import MlflowClient

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
    """The sweep's run: the client that knows it, its id and its status."""
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


def test_a_second_storage_folder_is_refused_until_the_first_ones_run_is_closed(
    run: Harness, harness: Harness, folder: Path
) -> None:
    assert run("first").code == 0
    client, run_id, status = parent(folder)
    assert status == "FINISHED"
    assert run("second").code == 0, "nobody runs it"
    assert run("first").code == 0

    client.update_run(run_id, RunStatus.to_string(RunStatus.RUNNING))  # as where its driver is at work, or died
    refused = run("third")
    assert (refused.code, refused.out) == (2, "")
    assert f"another storage folder, {folder}/first on {socket.gethostname()}: " in refused.err
    assert f"harness sync {folder}/first there" in refused.err
    assert not list((folder / "third").rglob("outbox.jsonl"))
    assert run("third", "--fresh").code == 0
    assert run("first").code == 0, "its own folder goes on"
