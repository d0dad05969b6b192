"""Fixtures that apply to every test, and servers that tests share: each is started once, when it is first needed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from tests.support.mlflow_server import MlflowServer
from tests.support.ray_head import RayHead, ray_head


@pytest.fixture(autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    """Restore the environment after a test, whether the test or the code under test changed it."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make MLflow's empty database once. This takes seconds, so tests start from a copy."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture(scope="session")
def mlflow_server(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """Start one MLflow server for all tests. Each test uses experiments of its own; who kills it starts it again."""
    server = MlflowServer(Path(shutil.copy(empty_store, tmp_path_factory.mktemp("server") / "mlflow.db")))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[RayHead]:
    """Start one Ray for all tests that need none of their own. Each test uses workloads and folders of its own."""
    with ray_head() as head:
        yield head
