"""Every exception of ours is the same in the process that it is sent to: class, message, exit code."""

from __future__ import annotations

import importlib
import pickle
import pkgutil

import pytest

import harness
from harness.errors import HarnessError


def every_error() -> list[type[HarnessError]]:
    """Return all subclasses, including those in packages that import heavy libraries."""
    for module in pkgutil.walk_packages(harness.__path__, "harness."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, left = [], [HarnessError]
    while left:
        kind = left.pop()
        found.append(kind)
        left.extend(kind.__subclasses__())
    return sorted(set(found), key=lambda kind: kind.__qualname__)


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling(kind: type[HarnessError]) -> None:
    error = kind("outbox /x cannot be written: No space left on device")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is kind
    assert (str(copy), copy.exit_code) == (str(error), error.exit_code)
