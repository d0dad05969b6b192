"""Trials grouped into cells, and cells into series: the input of every table, figure and claim of a report."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from harness.schema import Outcome

if TYPE_CHECKING:
    import pandas as pd

    from harness.tracking.results import SweepResults

TRAIN_ERROR = "final/train_error_pct"
TEST_ERROR = "final/test_error_pct"
IMAGES = {TRAIN_ERROR: "final/train_images", TEST_ERROR: "final/test_images"}
"""Metric of an error -> metric with the number of images behind it."""

SETTING_PREFIXES = ("model.", "dataset.", "recipe.", "scale.")
DECIDING_PREFIXES = (*SETTING_PREFIXES, "machine.")
DECIDING_NAMES = ("protocol", "measure")
"""Settings that, with the prefixes above, decide a trial's result; its seed is not among them."""
DEFAULTS = {"model.activation": "original", "measure": "training"}
"""Values of settings that are not recorded: trials of older versions have no activation, training has no measure."""
SHORTCUT_ORDER = ("plain", "A", "B", "C")


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One row of the sweep's list."""

    trial_id: str
    seed: int | None
    outcome: str
    row: dict[str, Any]

    @property
    def is_result(self) -> bool:
        """Whether the trial finished or diverged. A diverged trial counts with its last error."""
        return self.outcome in (Outcome.FINISHED, Outcome.DIVERGED)

    def number(self, key: str) -> float | None:
        """Return a metric or numeric param; None if there is none."""
        return as_number(self.row.get(key))


@dataclass(frozen=True, kw_only=True)
class Cell:
    """All trials that differ only in the seed."""

    cell_id: str
    label: str
    depth: int | None
    shortcut: str | None
    variant: str
    """The other settings that this sweep varies, such as `width 32`; empty if it varies none."""
    trials: tuple[Trial, ...]
    planned_macs: float | None = None
    """Multiply-accumulates of one forward pass of one image, as counted in the plan before anything ran."""

    @property
    def macs(self) -> float | None:
        """Multiply-accumulates as counted by the plan or the trials; None if neither has them."""
        return self.planned_macs or self.constant("model/macs")

    @property
    def timed(self) -> bool:
        """Whether its trials only time steps and do not train."""
        return any(trial.row.get("measure") == "throughput" for trial in self.trials)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """All settings that decide the results, without the seed and missing settings."""
        known = {**self.trials[0].row, "model.depth": self.depth, "model.shortcut": self.shortcut}
        found = {
            key: value
            for key, value in known.items()
            if (key in DECIDING_NAMES or key.startswith(DECIDING_PREFIXES)) and not is_missing(value)
        }
        return {**DEFAULTS, **found}

    @property
    def results(self) -> tuple[Trial, ...]:
        """Trials that have a result."""
        return tuple(trial for trial in self.trials if trial.is_result)

    def values(self, key: str) -> tuple[float, ...]:
        """Return the metric's value for each result that has one, in the order of the seeds."""
        return tuple(value for trial in self.results if (value := trial.number(key)) is not None)

    def unknown(self, key: str) -> int:
        """Count the results that lack the metric: networks that diverged before they were evaluated."""
        return len(self.results) - len(self.values(key))

    def constant(self, key: str) -> float | None:
        """Return the value that all trials of the cell share; None if they disagree or have none."""
        found = {value for trial in self.trials if (value := trial.number(key)) is not None}
        return found.pop() if len(found) == 1 else None


@dataclass(frozen=True, kw_only=True)
class Series:
    """Cells alike in all but depth, shallowest first: one line in a figure."""

    shortcut: str
    variant: str
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """`A`, or `A, width 32` if the sweep varies more than depth and shortcut."""
        return f"{self.shortcut}, {self.variant}" if self.variant else self.shortcut


def cells_of(results: SweepResults) -> tuple[Cell, ...]:
    """Return every cell of the sweep, in the order of its list of trials."""
    rows = [{str(key): value for key, value in row.items()} for row in results.trials.to_dict("records")]
    return cells_of_rows(rows, varied_settings(results.trials), results.plan.get("audit") or ())


def cells_of_rows(
    rows: Iterable[dict[str, Any]], varied: Sequence[str], audit: Iterable[Mapping[str, Any]]
) -> tuple[Cell, ...]:
    """Return every cell of a list of trials, in its order.

    Args:
        rows: one row per trial: its identity, settings, and what is known about its result.
        varied: the settings that distinguish variants.
        audit: the plan's counts, one for each cell.
    """
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(str(row["cell_id"]), []).append(row)
    macs = {str(count.get("cell_id")): as_number(count.get("macs")) for count in audit}
    return tuple(_cell(cell_id, members, varied, macs.get(cell_id)) for cell_id, members in grouped.items())


def trained(cells: Sequence[Cell]) -> bool:
    """Whether any cell is trained, or there are no cells. A sweep of timing trials alone has no errors to show."""
    return not cells or any(not cell.timed for cell in cells)


def ordered(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Sort by shortcut and depth, as in the papers; cells without both come last, in the given order."""
    return tuple(sorted(cells, key=lambda cell: (shortcut_rank(cell.shortcut or "~"), cell.depth or 0)))


def series_of(cells: Sequence[Cell]) -> tuple[Series, ...]:
    """Group the cells that have a depth and a shortcut: plain first, then the papers' A, B, C, then all others by name.

    A shortcut makes one series if each depth occurs once, even if a setting changes with depth (the paper warms up its
    110 layers only); if a depth occurs twice, it makes one series for each variant.
    """
    grouped: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.depth is not None and cell.shortcut is not None:
            grouped.setdefault(cell.shortcut, []).append(cell)
    return tuple(
        one
        for shortcut in sorted(grouped, key=shortcut_rank)
        for one in _series_of_shortcut(shortcut, grouped[shortcut])
    )


def _series_of_shortcut(shortcut: str, cells: Sequence[Cell]) -> list[Series]:
    if len({cell.depth for cell in cells}) == len(cells):
        return [Series(shortcut=shortcut, variant="", cells=_by_depth(cells))]
    variants = sorted({cell.variant for cell in cells})
    return [
        Series(shortcut=shortcut, variant=name, cells=_by_depth([cell for cell in cells if cell.variant == name]))
        for name in variants
    ]


def _by_depth(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    return tuple(sorted(cells, key=lambda cell: cell.depth or 0))


def shortcut_rank(shortcut: str) -> tuple[int, str]:
    """Return a sort key that orders shortcuts as in the papers."""
    known = shortcut in SHORTCUT_ORDER
    return (SHORTCUT_ORDER.index(shortcut) if known else len(SHORTCUT_ORDER), shortcut)


def settings_columns(trials: pd.DataFrame) -> list[str]:
    """Return the params that define what was trained and how, without the seed."""
    return [str(column) for column in trials.columns if str(column).startswith(SETTING_PREFIXES)]


def varied_settings(trials: pd.DataFrame) -> list[str]:
    """Return settings with several values in the sweep, without depth and shortcut: the matrix's other axes."""
    columns = [column for column in settings_columns(trials) if column not in ("model.depth", "model.shortcut")]
    return [column for column in columns if len(distinct(trials[column])) > 1]


def distinct(column: pd.Series[Any]) -> list[Any]:
    """Return the values present, in order of appearance."""
    return [value for value in column.drop_duplicates() if not is_missing(value)]


def is_missing(value: object) -> bool:
    """Whether a value is None, NaN, NaT or pandas.NA.

    NaN and NaT are not equal to themselves, and a comparison of pandas.NA has no truth value.
    """
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:
        return True


def as_number(value: object) -> float | None:
    """Return a finite number; None for anything else."""
    if isinstance(value, bool) or is_missing(value):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def as_text(value: Hashable) -> str:
    """Return a value as text, empty if it is missing. Whole numbers get no decimal point.

    NaN makes pandas hold whole numbers as floats.
    """
    if is_missing(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _cell(cell_id: str, rows: list[dict[str, Any]], varied: Sequence[str], macs: float | None) -> Cell:
    depth = as_number(_first(rows, "model.depth"))
    shortcut = as_text(_first(rows, "model.shortcut"))
    parts = [f"{name.split('.', 1)[1]} {as_text(_first(rows, name))}" for name in varied]
    return Cell(
        cell_id=cell_id,
        label=as_text(_first(rows, "label")) or cell_id,
        depth=None if depth is None else int(depth),
        shortcut=shortcut or None,
        variant=", ".join(parts),
        trials=tuple(_trial(row) for row in rows),
        planned_macs=macs,
    )


def _trial(row: dict[str, Any]) -> Trial:
    seed = as_number(row.get("seed"))
    return Trial(
        trial_id=as_text(row.get("trial_id")),
        seed=None if seed is None else int(seed),
        outcome=as_text(row.get("outcome")) or "missing",
        row=row,
    )


def _first(rows: Sequence[dict[str, Any]], key: str) -> Any:
    return next((row[key] for row in rows if not is_missing(row.get(key))), None)
