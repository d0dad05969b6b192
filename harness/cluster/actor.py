"""Calls to Ray actors that wait for the result. Only this module works around the types of Ray's stubs."""

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
    """A proxy of an actor. Its methods are called like local ones, and each call waits for its result."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *arguments: call(getattr(self._actor, name), *arguments)


def first_cause(error: BaseException) -> str:
    """Return the innermost message of an error that a user can act on, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
