"""Fixtures that apply to every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from unittest import mock

import pytest


@pytest.fixture(autouse=True)
def _environment_as_it_was() -> Iterator[None]:
    """Restore the environment after a test, whether the test or the code under test changed it."""
    with mock.patch.dict(os.environ):
        yield
