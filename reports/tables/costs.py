"""Costs of a trained network: multiply-accumulates, device-hours, joules, money."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reports.stats.cells import Cell, as_number, as_text
from reports.stats.summaries import TIME, hardware_of

ENERGY = "device/energy_j"


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices of devices in one currency, given by the user."""

    currency: str = ""
    per_device_hour: Mapping[str, float] = field(default_factory=dict)
    """Exact device name, as in `device.name` of a trial's run -> price of an hour."""


NO_PRICES = Prices()


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One kind of cost of a trained network."""

    name: str
    title: str
    label: str
    unit: str
    of: Callable[[Cell], float | None]


def costs(prices: Prices) -> tuple[Cost, ...]:
    """Return all costs; money is known only for devices with an hourly price."""
    money = prices.currency
    return (
        Cost(name="macs", title="Multiply-accumulates", label="MACs, forward, one image", unit="MAC", of=_macs),
        Cost(name="device_hours", title="Device-hours", label="device-hours of a trial", unit="h", of=device_hours),
        Cost(name="energy_j", title="Energy, GPUs alone", label="joules of a trial, GPUs alone", unit="J", of=_energy),
        Cost(
            name="price",
            title=f"Price, {money}",
            label=f"price of a trial, {money}",
            unit=money,
            of=lambda cell: price_of(cell, prices),
        ),
    )


def _macs(cell: Cell) -> float | None:
    return cell.constant("model/macs")


def device_hours(cell: Cell) -> float | None:
    """Return the mean time of a trial times its devices, if all trials ran on the same kind and number."""
    seconds = hardware_of(cell, TIME).mean
    counts = {count for trial in cell.results if (count := as_number(trial.row.get("device.count")))}
    return None if seconds is None or len(counts) != 1 else seconds * counts.pop() / 3600


def _energy(cell: Cell) -> float | None:
    return hardware_of(cell, ENERGY).mean


def price_of(cell: Cell, prices: Prices) -> float | None:
    """Return the price of a trial, in the currency of the prices; None if its devices have no price."""
    hours = device_hours(cell)
    names = {as_text(trial.row.get("device.name")) for trial in cell.results}
    price = prices.per_device_hour.get(names.pop()) if len(names) == 1 else None
    return None if hours is None or price is None else hours * price
