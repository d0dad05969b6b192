"""Ray's errors about a lost worker, as one line that a user can act on."""

from __future__ import annotations

import pickle

import pytest
import ray
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

from harness.cluster.actor import first_cause
from harness.cluster.worker_group import loss_of
from harness.errors import StorageError
from harness.worker_loop import GroupBroken

DIED = (
    "The actor died unexpectedly before finishing this task.\n\tclass_name: RayTrainWorker\n\tpid: 4711\n"
    "\tnamespace: n\n\tip: 10.0.0.2\nThe actor is dead because its worker process has died. Exit code -9."
    " Some common causes include: many."
)


class Dead(ray.exceptions.RayActorError):
    """Ray's error for a dead worker, made without an actor."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class Unhealthy(Exception):
    """A stand-in for Ray Train's wrapper around the error of a health check."""

    def __init__(self, failure: Exception) -> None:
        super().__init__("a worker is not healthy")
        self.health_check_failure = failure


def test_a_dead_worker_is_named_by_rank_node_and_cause() -> None:
    reason, out_of_memory = loss_of({1: Unhealthy(Dead(DIED))})
    assert not out_of_memory
    for word in ("rank 1 on 10.0.0.2", "died", "Exit code -9"):
        assert word in reason
    assert "\n" not in reason
    assert "common causes" not in reason


def test_the_worker_that_died_explains_more_than_those_that_waited_for_it() -> None:
    reason, _ = loss_of({0: RuntimeError("Connection closed by peer"), 1: Unhealthy(Dead(DIED))})
    assert reason.startswith("rank 1 on 10.0.0.2")


def test_a_worker_killed_for_memory_is_out_of_memory() -> None:
    error = ray.exceptions.OutOfMemoryError("Memory on the node (IP: 10.0.0.3, ID: ab) was 7.7GB / 8.0GB (0.96)")
    reason, out_of_memory = loss_of({0: Unhealthy(error)})
    assert out_of_memory
    assert "10.0.0.3" in reason
    assert "7.7GB / 8.0GB" in reason


def test_of_two_that_died_the_one_killed_for_memory_is_the_cause() -> None:
    memory = ray.exceptions.OutOfMemoryError("Memory on the node (IP: 10.0.0.3, ID: ab) was 7.7GB / 8.0GB (0.96)")
    reason, out_of_memory = loss_of({0: Unhealthy(Dead(DIED)), 1: Unhealthy(memory)})
    assert out_of_memory
    assert reason.startswith("rank 1 on 10.0.0.3")


def test_an_error_of_rays_that_a_worker_raised_itself_is_not_its_death() -> None:
    refused = ray.exceptions.RayTaskError("end", "outbox cannot be written", StorageError("outbox cannot be written"))
    reason, _ = loss_of({0: UserExceptionWithTraceback(refused, "Traceback"), 1: Unhealthy(Dead(DIED))})
    assert reason.startswith("rank 1 on 10.0.0.2 of its group died")
    alone, _ = loss_of({0: UserExceptionWithTraceback(refused, "Traceback")})
    assert alone == "rank 0 of its group failed: outbox cannot be written"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ValueError("no"), "ValueError: no"),
        (RuntimeError(""), "RuntimeError"),
        (GroupBroken("RuntimeError: timed out (rank 0 on node1)"), "RuntimeError: timed out (rank 0 on node1)"),
    ],
)
def test_what_a_worker_raised_is_its_reason_as_it_raised_it(error: Exception, why: str) -> None:
    reason, _ = loss_of({0: UserExceptionWithTraceback(error, "Traceback (most recent call last):\n...")})
    assert reason == f"rank 0 of its group failed: {why}"
    assert pickle.loads(pickle.dumps(reason)) == reason


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Dead(DIED), "The actor died unexpectedly before finishing this task. The actor is dead because its worker"),
        (RuntimeError("one\n  two\nthree"), "one two three"),
        (
            RuntimeError(
                "ray::f()\nTraceback (most recent call last):\n  File x\n    y()\nOSError: no space\nleft here"
            ),
            "OSError: no space left here",
        ),
        (ray.exceptions.RayTaskError("f", "a traceback", ValueError("line 1\nline 2")), "line 1 line 2"),
        (ValueError(), "ValueError"),
    ],
)
def test_an_error_keeps_its_whole_message_without_frames_and_ids(error: Exception, text: str) -> None:
    assert first_cause(error).startswith(text)
    assert "\n" not in first_cause(error)
    assert "pid" not in first_cause(error)
