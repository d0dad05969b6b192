"""A worker's side of the queue, with an actor that answers at once, or raises the errors of an actor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import ray

from harness.cluster.queue_client import QueueClient
from harness.events import EpochEnded
from harness.scheduling.types import LeaseLost


class Method:
    """An actor's method. The value that it returns is its own reference, which `ray.get` opens."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def remote(self, *arguments: Any) -> Callable[[], Any]:
        return lambda: self._call(*arguments)


class Actor:
    """An actor that refuses every event, as the queue does when the lease is lost, and has no other answer."""

    def __init__(self, *, refuses: bool) -> None:
        self.flushed = 0
        self.emit = Method(self._refuse if refuses else lambda *_: None)
        self.flush = Method(self._flush)

    def _refuse(self, *_: Any) -> None:
        lost = LeaseLost("trial t attempt 1 is not leased to g")
        raise ray.exceptions.RayTaskError("emit", str(lost), lost)

    def _flush(self, _group: str) -> None:
        self.flushed += 1


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "get", lambda reference: reference())


EPOCH = EpochEnded(trial_id="t", attempt=1, epoch=1, values={})


@pytest.mark.parametrize("next_call", ["emit", "flush"])
def test_a_refused_event_is_noticed_by_the_next_call(next_call: str) -> None:
    queue = QueueClient(Actor(refuses=True))
    queue.emit("g", EPOCH)
    with pytest.raises(LeaseLost):
        queue.flush("g") if next_call == "flush" else queue.emit("g", EPOCH)


def test_a_flush_asks_the_queue_after_every_event_has_arrived() -> None:
    actor = Actor(refuses=False)
    queue = QueueClient(actor)
    queue.emit("g", EPOCH)
    queue.flush("g")
    assert actor.flushed == 1
