"""Seconds of each step, data and optimizer included: from the end of the previous step to its own end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import torch


class StepClock(Protocol):
    """Clock with `start`, then `lap` at the end of each step. Another `start` after a pause leaves the pause out."""

    def start(self) -> None:
        """Begin a step now."""
        ...

    def lap(self) -> None:
        """End the step, and begin the next one."""
        ...

    def take(self) -> list[float]:
        """Return the seconds of every step since the last `take`. On a GPU this waits for the device."""
        ...


class HostClock:
    """Clock for devices whose work is done when the call returns: CPUs."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds: list[float] = []
        self._last = 0.0

    def start(self) -> None:
        self._last = self._clock()

    def lap(self) -> None:
        now = self._clock()
        self._seconds.append(now - self._last)
        self._last = now

    def take(self) -> list[float]:
        seconds, self._seconds = self._seconds, []
        return seconds


class DeviceClock:
    """Clock for GPUs: marks in the device's own queue of work, read when all is done. No step waits for the host."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._steps: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._last: torch.cuda.Event | None = None

    def start(self) -> None:
        self._last = self._mark()

    def lap(self) -> None:
        assert self._last is not None, "lap before start"
        now = self._mark()
        self._steps.append((self._last, now))
        self._last = now

    def take(self) -> list[float]:
        torch.cuda.synchronize(self._device)  # the marks can be read only once the device has passed them
        seconds = [before.elapsed_time(after) / 1e3 for before, after in self._steps]
        self._steps = []
        return seconds

    def _mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event


def step_clock(device: torch.device, clock: Callable[[], float] = time.perf_counter) -> StepClock:
    """Return the clock for a device; `clock` is the host's."""
    return DeviceClock(device) if device.type == "cuda" else HostClock(clock)
