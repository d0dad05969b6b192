"""One cluster and one pair of bare hosts for all tests of this folder; what tests measure is printed at the end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.cluster.cluster import TestCluster, running_cluster
from tests.cluster.hosts import Hosts, hosts, unavailable_reason

REQUIRED = "HARNESS_CLUSTER_TESTS"
"""Environment variable. If it is `required`, these tests fail instead of being skipped where they cannot run."""
MEASURED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MEASURED] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for text in config.stash.get(MEASURED, []):
        terminalreporter.write_line(text)


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """Return a list whose texts are printed at the end of the test run."""
    return request.config.stash[MEASURED]


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Check that hosts can be made here; otherwise skip the test, or fail it if it is required."""
    reason = unavailable_reason()
    if reason is None:
        return
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{REQUIRED} is required, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def pair(namespaces: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Make two bare hosts, alpha and beta, for all tests that leave them as they were."""
    with hosts(tmp_path_factory.mktemp("pair"), ["alpha", "beta"]) as made:
        yield made


@pytest.fixture(scope="session")
def cluster(namespaces: None, tmp_path_factory: pytest.TempPathFactory, measured: list[str]) -> Iterator[TestCluster]:
    """Start Ray on three hosts and MLflow on a fourth."""
    began = time.monotonic()
    with running_cluster(tmp_path_factory.mktemp("cluster")) as made:
        measured.append(f"cluster of three hosts, and MLflow on a fourth: started in {time.monotonic() - began:.1f} s")
        yield made
