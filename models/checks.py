"""Checks of the values that a user gives for a model's axes. Each raises `ValueError` with a message to act on.

A message begins with the axis that it is about, so that a reader of workload files can point at its line.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection


def require_choice(axis: str, value: object, allowed: Collection[str]) -> None:
    """Refuse a value that is not one of the allowed names, and name the nearest one."""
    if isinstance(value, str) and value in allowed:
        return
    raise ValueError(f"{axis} {value!r} is not known{nearest_name(value, allowed)}; allowed: {', '.join(allowed)}")


def nearest_name(value: object, allowed: Collection[str]) -> str:
    """Return the clause `, did you mean 'X'?` for the closest allowed name, or an empty text if none is close."""
    close = difflib.get_close_matches(str(value), list(allowed), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def nearest_numbers(value: int, allowed: Collection[int]) -> str:
    """Return the largest allowed number below and the smallest above: `20, 26`."""
    below = [number for number in allowed if number < value]
    above = [number for number in allowed if number > value]
    return ", ".join(str(number) for number in [*sorted(below)[-1:], *sorted(above)[:1]])


def require_int(axis: str, value: object, *, at_least: int) -> None:
    """Refuse a value that is not a whole number of at least `at_least`. A bool is not a number here."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{axis} must be a whole number, got {value!r}")
    if value < at_least:
        raise ValueError(f"{axis} must be at least {at_least}, got {value}")


def as_float(axis: str, value: object) -> float:
    """Return the number as a float, so that 1 and 1.0 are one setting. Refuse bool, text, NaN and infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{axis} must be a finite number, got {value!r}")
    return float(value) + 0.0  # -0.0 becomes 0.0
