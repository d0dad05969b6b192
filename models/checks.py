"""Checks of the values that a user writes on a model axis; each raises `ValueError` with a message to act on."""

from __future__ import annotations

import difflib
from collections.abc import Collection


def require_choice(axis: str, value: object, allowed: Collection[str]) -> None:
    """Refuse a value that is not one of the allowed names, and name the nearest one."""
    if isinstance(value, str) and value in allowed:
        return
    raise ValueError(f"{axis} {value!r} is not known{nearest(value, allowed)}; allowed: {', '.join(allowed)}")


def nearest(value: object, allowed: Collection[str]) -> str:
    """The clause `, did you mean 'X'?` for the closest allowed name, or nothing where none is close."""
    close = difflib.get_close_matches(str(value), list(allowed), n=1, cutoff=0.5)
    return f", did you mean {close[0]!r}?" if close else ""


def require_int(axis: str, value: object, *, at_least: int) -> None:
    """Refuse what is not a whole number of at least `at_least`. A bool is not a number here."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{axis} must be a whole number, got {value!r}")
    if value < at_least:
        raise ValueError(f"{axis} must be at least {at_least}, got {value}")


def as_float(axis: str, value: object) -> float:
    """The number as a float, so that 1 and 1.0 are one setting; refuses bool, text, NaN and infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value - value != 0:
        raise ValueError(f"{axis} must be a finite number, got {value!r}")
    return float(value)


def require_depth(depth: object, *, step: int, extra: int = 2) -> None:
    """Refuse a depth that is not step*n + extra with n >= 1, and name the nearest that are."""
    require_int("depth", depth, at_least=1)
    assert isinstance(depth, int)
    n, rest = divmod(depth - extra, step)
    if rest == 0 and n >= 1:
        return
    below = [step * n + extra] if n >= 1 else []
    above = step * max(n + 1, 1) + extra
    raise ValueError(f"depth {depth} is not {step}n+{extra}; nearest: {', '.join(map(str, [*below, above]))}")
