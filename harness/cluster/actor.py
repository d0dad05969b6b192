"""Asking an actor and waiting for its answer. Ray's own types get in each other's way here; this is the one place."""

from __future__ import annotations

from typing import Any

import ray

Actor = Any
"""A handle of `harness.cluster.outbox_queue.OutboxQueue`."""


def ask(method: Any, *arguments: Any) -> Any:
    """Call an actor's method and wait.

    Raises:
        ray.exceptions.RayError: the actor raised, or is gone.
    """
    reference: Any = method.remote(*arguments)
    get: Any = ray.get
    return get(reference)


def first_cause(error: BaseException) -> str:
    """The innermost message that a user can act on, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
