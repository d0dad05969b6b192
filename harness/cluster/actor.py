"""Asking an actor and waiting for its answer. Ray's own types get in each other's way here; this is the one place."""

from __future__ import annotations

from typing import Any

import ray

Actor = Any
"""A handle of `harness.cluster.sweep.OutboxQueue`."""


def ask(method: Any, *arguments: Any) -> Any:
    """Call an actor's method and wait.

    Raises:
        ray.exceptions.RayError: the actor raised, or is gone.
    """
    reference: Any = method.remote(*arguments)
    get: Any = ray.get
    return get(reference)
