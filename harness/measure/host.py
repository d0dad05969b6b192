"""The host's processors and memory, with the same interface as a GPU."""

from __future__ import annotations

import psutil

CPU, MEMORY, MEMORY_PCT = "host_cpu_pct", "host_memory_gib", "host_memory_pct"
COLUMNS = (CPU, MEMORY, MEMORY_PCT)


class HostReader:
    """Reader of the whole host, other programs included: their load is a reason to watch the host."""

    def __init__(self) -> None:
        self.absent: dict[str, str] = {}
        self.errors: dict[str, str] = {}
        self.lost: str | None = None
        self._times = psutil.cpu_times()

    def read(self) -> dict[str, float]:
        """Return how busy all processors were since the last call, and the memory that programs cannot get now."""
        memory = psutil.virtual_memory()
        used = memory.total - memory.available
        values = {MEMORY: used / 2**30, MEMORY_PCT: 100 * used / memory.total}
        busy = self._busy_pct()
        return values if busy is None else {CPU: busy, **values}

    def close(self) -> None:
        """Do nothing, since no resource is held."""

    def _busy_pct(self) -> float | None:
        """Return how busy the processors were; None if their counters have not moved since the last call."""
        before, self._times = self._times, psutil.cpu_times()
        idle = _idle_s(self._times) - _idle_s(before)
        passed = _total_s(self._times) - _total_s(before)
        return 100 * max(0.0, 1 - idle / passed) if passed > 0 else None


def _idle_s(times: object) -> float:
    return sum(getattr(times, name, 0.0) for name in ("idle", "iowait"))


def _total_s(times: object) -> float:
    # The time of guests is already part of user and nice (proc(5)).
    return sum(getattr(times, name, 0.0) for name in _KINDS)


_KINDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
