"""Scaling efficiency of timing trials: the measured share of the ideal speed with more workers. Pure functions.

Strong scaling keeps the global batch and splits it among more workers; weak scaling keeps each worker's share, so that
the batch grows. Both are compared with the smallest number of workers that was timed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from reports.stats.cells import SETTING_PREFIXES, Cell, Trial, as_text
from reports.stats.inference import estimate
from reports.stats.summaries import SPEED, device_of

WORKERS, BATCH = "scale.workers", "recipe.batch_size"
Kind = Literal["strong", "weak"]


class Rate(NamedTuple):
    """Images per second, or a ratio of two speeds, with a 95 % interval if it is known."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Point:
    """The speed with one number of workers."""

    workers: int
    batch_size: int
    """Batch size of all workers together."""
    n: int
    """Number of timing trials."""
    images_per_s: Rate
    efficiency_pct: Rate
    """Speed per worker, relative to the line's first point, in percent. The first point has 100, without an
    interval."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """Cells alike in all but the number of workers and, for weak scaling, the batch; fewest workers first."""

    kind: Kind
    label: str
    """Label of its first cell."""
    points: tuple[Point, ...]


def scaling_lines(cells: Iterable[Cell]) -> tuple[Line, ...]:
    """Return every line with at least two numbers of workers, strong scaling first."""
    timed = [timed for cell in cells if (timed := _timed(cell)) is not None]
    return tuple(
        _line(kind, group) for kind in ("strong", "weak") for group in _grouped(timed, kind) if _is_line(group)
    )


class _Timed(NamedTuple):
    cell: Cell
    workers: int
    batch_size: int
    rate: Rate
    n: int
    alike: tuple[tuple[str, str], ...]
    """Settings and hardware that must be equal along a line."""


def _timed(cell: Cell) -> _Timed | None:
    """Combine a cell's timing trials; None if it has none, or they disagree in workers, batch or device."""
    trials = [trial for trial in cell.results if trial.row.get("measure") == "throughput"]
    rate = rate_of(trials)
    workers, batch_size = cell.constant(WORKERS), cell.constant(BATCH)
    if rate is None or workers is None or batch_size is None or len({_kind_of_device(trial) for trial in trials}) != 1:
        return None
    return _Timed(cell, int(workers), int(batch_size), rate, len(trials), _alike(trials[0]))


def rate_of(trials: Sequence[Trial]) -> Rate | None:
    """Return the trials' speed: with the interval of its steps for one trial, else the mean with Student's interval."""
    values = [value for trial in trials if (value := trial.number(SPEED)) is not None]
    if not values:
        return None
    if len(values) == 1:
        trial = next(trial for trial in trials if trial.number(SPEED) is not None)
        return Rate(values[0], trial.number(f"{SPEED}_low"), trial.number(f"{SPEED}_high"))
    found = estimate(values, floor=0.0)
    assert found.mean is not None
    return Rate(found.mean, found.low, found.high)


_NOT_ALIKE = (WORKERS, BATCH, "seed", "machine.device_count")


def _alike(trial: Trial) -> tuple[tuple[str, str], ...]:
    prefixes = (*SETTING_PREFIXES, "machine.")
    settings = {key: as_text(value) for key, value in trial.row.items() if key.startswith(prefixes)}
    kept = {key: value for key, value in settings.items() if key not in _NOT_ALIKE}
    return tuple(sorted({**kept, "device": _kind_of_device(trial)}.items()))


def _kind_of_device(trial: Trial) -> str:
    """Return only the device's name, because scaling varies the number of devices."""
    return as_text(trial.row.get("device.name")) or str(device_of(trial))


def _grouped(timed: Sequence[_Timed], kind: Kind) -> list[list[_Timed]]:
    groups: dict[tuple[Any, ...], list[_Timed]] = {}
    for one in timed:
        share = one.batch_size if kind == "strong" else one.batch_size / one.workers
        groups.setdefault((one.alike, share), []).append(one)
    return [sorted(group, key=lambda one: one.workers) for group in groups.values()]


def _is_line(group: Sequence[_Timed]) -> bool:
    """Whether the cells form a line. Cells with equal workers differ in an unknown setting, so they form none."""
    return len(group) > 1 and len({one.workers for one in group}) == len(group)


def _line(kind: Kind, group: Sequence[_Timed]) -> Line:
    first = group[0]
    return Line(kind=kind, label=first.cell.label, points=tuple(_point(one, first) for one in group))


def _point(one: _Timed, first: _Timed) -> Point:
    if one is first:
        efficiency = Rate(100.0, None, None)
    else:
        times = 100 * first.workers / one.workers
        efficiency = Rate(*(None if value is None else value * times for value in ratio(one.rate, first.rate)))  # type: ignore[arg-type]
    return Point(
        workers=one.workers, batch_size=one.batch_size, n=one.n, images_per_s=one.rate, efficiency_pct=efficiency
    )


def ratio(upper: Rate, lower: Rate) -> Rate:
    """Return the ratio of two separately timed speeds, with its interval (MOVER-R: Donner and Zou 2012, eq. 9).

    For symmetric intervals it equals Fieller's. There is none unless both speeds have one and the lower speed cannot be
    zero.
    """
    value = upper.value / lower.value
    if upper.low is None or upper.high is None or lower.low is None or lower.high is None or lower.low <= 0:
        return Rate(value, None, None)
    product = upper.value * lower.value
    low_end, high_end = (
        (upper.low * (2 * upper.value - upper.low), lower.high * (2 * lower.value - lower.high)),
        (upper.high * (2 * upper.value - upper.high), lower.low * (2 * lower.value - lower.low)),
    )
    if low_end[1] <= 0:
        return Rate(value, None, None)
    return Rate(
        value,
        (product - math.sqrt(max(0.0, product**2 - low_end[0] * low_end[1]))) / low_end[1],
        (product + math.sqrt(max(0.0, product**2 - high_end[0] * high_end[1]))) / high_end[1],
    )
