"""Errors of a sweep's processes, as what they are."""

from __future__ import annotations

import pytest
import ray

from harness.cluster.sweep import _translated
from harness.errors import ClusterUnreachable, HarnessError, StorageError


class Gone(ray.exceptions.RayActorError):
    """Ray's error for an actor whose process ended, made without an actor."""

    def __str__(self) -> str:
        return "The actor died.\n\tpid: 1\nIts process was killed by signal 9."


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (
            ray.exceptions.RayTaskError("emit", "t", StorageError("outbox cannot be written: the disk is full")),
            StorageError,
            "outbox cannot be written: the disk is full",
        ),
        (
            ray.exceptions.RayTaskError("__init__", "t", ImportError("cannot import name 'x'")),
            HarnessError,
            "a process of this sweep failed: ImportError: cannot import name 'x'; run",
        ),
        (Gone(), HarnessError, "the process of the sweep's queue ended: The actor died. Its process was killed by"),
        (ray.exceptions.RaySystemError("connection reset"), ClusterUnreachable, "the cluster was lost: System error"),
    ],
)
def test_what_failed_is_told_as_what_it_is(error: ray.exceptions.RayError, kind: type[HarnessError], text: str) -> None:
    told = _translated(error)
    assert type(told) is kind
    assert str(told).startswith(text)
