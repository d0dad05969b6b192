"""Energy of a device from its readings: by its own counter, or by its power where the counter fails."""

from __future__ import annotations

from typing import Literal


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

    def add(self, time_s: float, *, power_w: float | None, counter_j: float | None) -> None:
        """Add one reading; None stands for a value that could not be read."""
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
                step_j = self._since_counter_j
            if step_j is None:
                self._gap = True  # the energy used around the reset is unknown
            else:
                self._counted = (self._counted or 0.0) + step_j
        elif self._since_counter_j is not None:
            self._counted = self._since_counter_j  # the counter's first reading came late
        self._counter = counter_j
        self._since_counter_j = None
