"""How much of a trial the readings of a device cover: a mean over a part of it is no mean of the trial."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

MOST_UNREAD = 0.01
"""Largest share of the time in which a metric may fail to be read, and still have a result."""

BRIDGED = 3
"""Number of readings in a row that may fail in a short trial, where they are more than that share."""

LONGEST_S = 5.0
"""Longest time for which one reading stands. A library that answers only after more has hidden what came between."""


def is_partial(unread_s: float, span_s: float, period_s: float) -> bool:
    """Return whether too much of a span was not read for a result of the whole."""
    return unread_s > max(MOST_UNREAD * span_s, BRIDGED * period_s)


class Coverage:
    """Seconds in which each metric was read, of all in which readings were due."""

    def __init__(self) -> None:
        self._span_s = 0.0
        self._read_s: dict[str, float] = {}
        self._last_ms: dict[str, int] = {}
        self._longest_s = 0.0

    def begin(self) -> None:
        """Count anew from here; what was ever read stays known."""
        self._span_s, self._read_s, self._longest_s = 0.0, {}, 0.0

    @property
    def pause(self) -> str | None:
        """The longest time between two readings, in words, if one reading cannot stand for it."""
        return f"no reading for {self._longest_s:,.0f} s" if self._longest_s > LONGEST_S else None

    def add(self, passed_s: float, time_ms: int, values: Mapping[str, float]) -> None:
        """Add one reading, and the seconds since the one before."""
        self._span_s += passed_s
        self._longest_s = max(passed_s, self._longest_s)
        for name in values:
            self._read_s[name] = self._read_s.get(name, 0.0) + min(passed_s, LONGEST_S)
            self._last_ms[name] = time_ms

    def partial(self, period_s: float, reasons: Mapping[str, str], otherwise: str) -> dict[str, str]:
        """Return metric -> for how long it was read, until when, and why not longer; only those that have no result.

        Args:
            period_s: seconds between two readings.
            reasons: metric -> why it was last not read.
            otherwise: the reason of other metrics.
        """
        found = {}
        for name, last_ms in self._last_ms.items():
            read_s = self._read_s.get(name, 0.0)
            if is_partial(self._span_s - read_s, self._span_s, period_s):
                last = datetime.fromtimestamp(last_ms / 1000, UTC)
                found[name] = (
                    f"no result, since it was read for {read_s:,.0f} of {self._span_s:,.0f} s, last at "
                    f"{last:%Y-%m-%d %H:%M:%S} UTC: {reasons.get(name, otherwise)}"
                )
        return found
