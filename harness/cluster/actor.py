"""Calls to Ray actors that wait for the result, and the message of a failed one. Ray's stubs leave both untyped."""

from __future__ import annotations

from typing import Any, TypeAlias

import ray

ActorHandle: TypeAlias = Any
"""Ray's handle of an actor. Ray's stubs do not know an actor's methods; only the clients of actors use it."""


def call(method: Any, *arguments: Any) -> Any:
    """Call an actor's method and wait.

    Raises:
        ray.exceptions.RayError: the actor raised, or is gone.
    """
    reference: Any = method.remote(*arguments)
    get: Any = ray.get
    return get(reference)


def first_cause(error: BaseException) -> str:
    """Return the innermost message of an error that a user can act on, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
