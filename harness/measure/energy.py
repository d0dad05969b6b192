"""Energy of a device from its readings: by its own counter, or by its power where the counter fails."""

from __future__ import annotations

from typing import Literal

from harness.measure.coverage import LONGEST_S


class EnergyMeter:
    """Adds up readings in the order of time. The first one is the start and adds nothing."""

    def __init__(self) -> None:
        self.integral_j: float | None = None
        """Joules from power over time, by trapezoids; None with fewer than two readings of power."""
        self.resets = 0
        """Number of times the counter went backwards, because the driver was reset or the counter reached its end."""
        self._power: tuple[float, float] | None = None
        self._counter: float | None = None
        self._counted: float | None = None
        self._since_counter_j: float | None = None
        """Joules from power since the counter's last reading; they replace the counter where it has no value."""
        self._gap = False
        self._time_s: float | None = None
        self._without_power_s = 0.0
        self._dark_s = 0.0
        """Seconds without power since the counter's last reading."""
        self._bridged_dark_s = 0.0
        """Seconds without power that the counter's steps do not cover: around a reset, and before it came."""

    def add(self, time_s: float, *, power_w: float | None, counter_j: float | None) -> None:
        """Add one reading; None stands for a value that could not be read."""
        passed_s = 0.0 if self._time_s is None else time_s - self._time_s
        self._time_s = time_s
        dark_s = passed_s if power_w is None else max(0.0, passed_s - LONGEST_S)
        self._without_power_s += dark_s
        self._dark_s += dark_s
        if power_w is not None:
            self._integrate(time_s, power_w)
        if counter_j is not None:
            self._count(counter_j)

    @property
    def source(self) -> Literal["counter", "power"] | None:
        """Source of `energy_j`; None if there is none."""
        if self._counted is not None and not self._gap:
            return "counter"
        return "power" if self.integral_j is not None else None

    @property
    def energy_j(self) -> float | None:
        """Joules between the first and the last reading; None if neither counter nor power is known."""
        if self.source == "counter":
            assert self._counted is not None
            return self._counted + (self._since_counter_j or 0.0)
        return self.integral_j

    @property
    def unread_s(self) -> float:
        """Seconds whose energy nobody told, neither counter nor power: `energy_j` lacks it, or holds a guess."""
        return self._bridged_dark_s + self._dark_s if self.source == "counter" else self._without_power_s

    def _integrate(self, time_s: float, power_w: float) -> None:
        if self._power is not None:
            before_s, before_w = self._power
            joules = (time_s - before_s) * (power_w + before_w) / 2
            self.integral_j = (self.integral_j or 0.0) + joules
            self._since_counter_j = (self._since_counter_j or 0.0) + joules
        self._power = (time_s, power_w)

    def _count(self, counter_j: float) -> None:
        if self._counter is not None:
            step_j: float | None = counter_j - self._counter
            if counter_j < self._counter:
                self.resets += 1
                self._bridged_dark_s += self._dark_s
                step_j = self._since_counter_j
            if step_j is None:
                self._gap = True  # the energy used around the reset is unknown
            else:
                self._counted = (self._counted or 0.0) + step_j
        elif self._since_counter_j is not None:
            self._counted = self._since_counter_j  # the counter's first reading came late
        if self._counter is None:
            self._bridged_dark_s += self._dark_s
        self._counter, self._dark_s = counter_j, 0.0
        self._since_counter_j = None
