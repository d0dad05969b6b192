"""Waiting for a condition, with a limit far beyond the time that it takes."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable

TIMEOUT_S = 300.0
"""Seconds after which a wait has failed. Ray and MLflow start within seconds, on a busy machine within minutes."""


def wait_until(holds: Callable[[], bool], message: str, *, timeout_s: float = TIMEOUT_S, pause_s: float = 0.1) -> float:
    """Wait until a condition holds, and return the seconds that it took.

    Args:
        holds: the condition. It may raise an AssertionError if it can no longer come true.
        message: names the condition, for the case that it does not come true in time.
        timeout_s: longest wait in seconds.
        pause_s: seconds between two looks.
    """
    began = time.monotonic()
    while not holds():
        assert time.monotonic() < began + timeout_s, f"waited {timeout_s:g} s in vain: {message}"
        time.sleep(pause_s)
    return time.monotonic() - began


def answers(url: str, **headers: str) -> bool:
    """Return whether a web server answers a request with 200."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
