"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest


@pytest.fixture(autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    """What a test, or code under test, sets in the environment ends with the test."""
    with mock.patch.dict(os.environ):
        yield
