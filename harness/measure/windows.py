"""A long series in few points: means over windows that grow with the age of the series."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

FIRST_WIDTH_MS = 1000
WINDOWS_OF_A_WIDTH = 60
"""Number of windows before the width doubles: a minute has 60 points, an hour some 350, a day some 620."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Means of the readings in one window. Windows without readings are left out."""

    step: int
    """Number of the window; empty windows count too."""
    time_ms: int
    """End of the window in milliseconds, on the clock of the readings."""
    values: Mapping[str, float] = field(default_factory=dict)


class Windows:
    """Windows of a series, filled by one thread and emptied by another."""

    def __init__(self, start_ms: int) -> None:
        self._lock = threading.Lock()
        self._step, self._end_ms = 0, start_ms + FIRST_WIDTH_MS
        self._last_ms = start_ms
        self._sums: dict[str, tuple[float, int]] = {}
        self._closed: list[Window] = []

    def add(self, time_ms: int, values: Mapping[str, float]) -> None:
        """Add one reading, not older than the one before."""
        with self._lock:
            while time_ms >= self._end_ms:
                self._close(self._end_ms)
            self._last_ms = time_ms
            for key, value in values.items():
                total, count = self._sums.get(key, (0.0, 0))
                self._sums[key] = (total + value, count + 1)

    def take(self, *, all_of_it: bool = False) -> list[Window]:
        """Return the windows that are complete and were not taken before; `all_of_it` ends the running one."""
        with self._lock:
            if all_of_it:
                self._close(self._last_ms)
            taken, self._closed = self._closed, []
        return taken

    def _close(self, time_ms: int) -> None:
        if self._sums:
            means = {key: total / count for key, (total, count) in self._sums.items()}
            self._closed.append(Window(step=self._step, time_ms=time_ms, values=means))
        self._sums = {}
        self._step += 1
        self._end_ms += FIRST_WIDTH_MS * 2 ** (self._step // WINDOWS_OF_A_WIDTH)
