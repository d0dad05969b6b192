"""Whether hosts can be made here."""

from __future__ import annotations

import os

import pytest

from tests.cluster.hosts import obstacle

REQUIRED = "HARNESS_CLUSTER_TESTS"
"""An environment variable: where it is `required`, what stands in the way of these tests fails them."""


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Hosts can be made here; else the test is skipped, or fails where it must not be."""
    reason = obstacle()
    if reason is None:
        return
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{REQUIRED} is required, but {reason}")
    pytest.skip(reason)
