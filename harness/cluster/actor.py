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
    """Return the message of the innermost error that a user can act on, whole and in one line."""
    for name in ("cause", "controller_failure"):
        if isinstance(inner := getattr(error, name, None), BaseException):
            return first_cause(inner)
    lines = str(error).splitlines()
    frames = [index for index, line in enumerate(lines) if line.startswith("  ")]
    if "Traceback (most recent call last)" in str(error) and frames:
        lines = lines[frames[-1] + 1 :]  # below the last frame is the error itself
    # Lines that begin with a tab are Ray's ids of the actor.
    return " ".join(" ".join(line for line in lines if not line.startswith("\t")).split()) or type(error).__name__
