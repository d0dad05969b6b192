"""Asking an actor and waiting for its answer. Ray's own types get in each other's way here; this is the one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ray

Actor = Any
"""A handle of `harness.cluster.outbox_queue.OutboxQueue`."""


def call(method: Any, *arguments: Any) -> Any:
    """Call an actor's method and wait.

    Raises:
        ray.exceptions.RayError: the actor raised, or is gone.
    """
    reference: Any = method.remote(*arguments)
    get: Any = ray.get
    return get(reference)


class ActorProxy:
    """An actor whose methods are called as if it were here: each call waits for its answer."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: call(getattr(self._actor, name), *arguments)


def first_cause(error: BaseException) -> str:
    """The innermost message that a user can act on, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
