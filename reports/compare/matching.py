"""The paired cells of two sides, their measurements, and the differences between them other than the code.

A side is one sweep, or several that repeat each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

from harness.schema import Outcome
from reports.stats.cells import Cell, as_text
from reports.stats.summaries import SPEED

CONDITIONS = ("device.name", "device.count", "device.threads_per_worker")
"""Conditions that, with every `version.*`, must be equal for results to be comparable."""
SETTINGS = ("recipe.", "model.", "dataset.", "scale.", "protocol")


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """One cell in the sweeps of one side."""

    by_sweep: tuple[Cell | None, ...]
    """The cell in each sweep, in order; None for a sweep without it. At least one sweep has it."""

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cell in each sweep that has it."""
        return tuple(cell for cell in self.by_sweep if cell is not None)

    @property
    def cell_id(self) -> str:
        """Its id in the first sweep that has it."""
        return self.cells[0].cell_id

    @property
    def label(self) -> str:
        """Its label in the first sweep that has it."""
        return self.cells[0].label

    @property
    def runs(self) -> set[str]:
        """The MLflow runs of its results."""
        return {as_text(trial.row.get("run_id")) for cell in self.cells for trial in cell.results}

    def unknown(self, metric: str) -> int:
        """Count the results that lack the metric."""
        return sum(cell.unknown(metric) for cell in self.cells)

    def constant(self, key: str) -> float | None:
        """Return the value that all trials share; None if they disagree or have none."""
        found = {cell.constant(key) for cell in self.cells}
        return found.pop() if len(found) == 1 else None

    def seeds(self, metric: str) -> set[int]:
        """Return the seeds that have a value."""
        return {seed for cell in self.cells for seed in _values(cell, metric)}

    def speeds(self) -> list[dict[int, float]]:
        """Return seed -> logarithm of speed, for each sweep that has any."""
        found = (_values(cell, SPEED) for cell in self.cells)
        return [{seed: math.log(speed) for seed, speed in speeds.items()} for speeds in found if speeds]

    def levels(self) -> list[float]:
        """Return the mean logarithm of speed of each sweep that has any."""
        return [fmean(speeds.values()) for speeds in self.speeds()]

    def errors(self, metric: str) -> dict[int, float]:
        """Return seed -> mean over its repeats. Training again with the same seed adds no new sample."""
        by_seed: dict[int, list[float]] = {}
        for cell in self.cells:
            for seed, error in _values(cell, metric).items():
                by_seed.setdefault(seed, []).append(error)
        return {seed: fmean(errors) for seed, errors in by_seed.items()}


def _values(cell: Cell, metric: str) -> dict[int, float]:
    """Return seed -> value of the trials that count: results for errors, finished trials for speed."""
    if metric == SPEED:
        finished = [trial for trial in cell.trials if trial.outcome == Outcome.FINISHED]
        speeds = {trial.seed or 0: trial.number(metric) for trial in finished}
        return {seed: speed for seed, speed in speeds.items() if speed is not None and speed > 0}
    return {trial.seed or 0: error for trial in cell.results if (error := trial.number(metric)) is not None}


Named = TypeVar("Named", Cell, Repeats)
Matched = Sequence[tuple[Repeats, Repeats]]
"""The cells of both sides, paired."""


def repeats_of(sweeps: Sequence[Sequence[Cell]]) -> tuple[Repeats, ...]:
    """Join the cells of a side's sweeps, paired by `match`."""
    first: dict[str, Cell] = {}
    rows: dict[str, list[Cell | None]] = {}
    for place, cells in enumerate(sweeps):
        known = {again.cell_id: cell.cell_id for cell, again in match(list(first.values()), cells)}
        for cell in cells:
            key = known.get(cell.cell_id, cell.cell_id)
            first.setdefault(key, cell)
            rows.setdefault(key, [None] * len(sweeps))[place] = cell
    return tuple(Repeats(by_sweep=tuple(row)) for row in rows.values())


def match(first: Sequence[Named], second: Sequence[Named]) -> list[tuple[Named, Named]]:
    """Pair cells of the same id, or else of the same label if it is unique in its sweep; in the first's order."""
    ids = {cell.cell_id: cell for cell in second}
    free_1 = [cell for cell in first if cell.cell_id not in ids]
    taken = {cell.cell_id for cell in first}
    free_2 = [cell for cell in second if cell.cell_id not in taken]
    by_label = {cell.label: cell for cell in free_2 if _is_only(cell, free_2)}
    partners = {cell.cell_id: by_label.get(cell.label) if _is_only(cell, free_1) else None for cell in free_1} | {
        cell.cell_id: ids[cell.cell_id] for cell in first if cell.cell_id in ids
    }
    return [(cell, partner) for cell in first if (partner := partners[cell.cell_id]) is not None]


def _is_only(cell: Named, cells: Sequence[Named]) -> bool:
    return sum(other.label == cell.label for other in cells) == 1


def left(matched: Sequence[Repeats], cells: Sequence[Repeats]) -> tuple[str, ...]:
    """Return the labels of the cells that have no partner."""
    ids = {cell.cell_id for cell in matched}
    return tuple(cell.label for cell in cells if cell.cell_id not in ids)


def complete(matched: Matched) -> list[tuple[Repeats, Repeats]]:
    """Return the pairs with a speed in every sweep of both sides."""
    return [pair for pair in matched if all(len(side.speeds()) == len(side.by_sweep) for side in pair)]


def levels_of_sweeps(matched: Matched) -> tuple[list[float], list[float]]:
    """Return the mean logarithm of speed of each sweep of both sides, over cells that every sweep has."""
    first, second = (
        [fmean(sweep) for sweep in zip(*(pair[i].levels() for pair in matched), strict=True)] for i in (0, 1)
    )
    return first, second


def differing(matched: Matched) -> tuple[str, ...]:
    """Return the conditions that differ within or between the sides of a cell, with their values."""
    return _unlike(matched, lambda key: key in CONDITIONS or key.startswith("version."))


def settings(matched: Matched) -> tuple[str, ...]:
    """Return the training settings that differ between cells of the same name. Cells of the same id cannot differ."""
    alike_by_name = [pair for pair in matched if len({cell.cell_id for side in pair for cell in side.cells}) > 1]
    return _unlike(alike_by_name, lambda key: key.startswith(SETTINGS))


def _unlike(matched: Iterable[tuple[Repeats, Repeats]], counts: Callable[[str], bool]) -> tuple[str, ...]:
    """Return the keys whose values differ within a pair of cells, with the values, the first side's first."""
    found: dict[str, dict[str, None]] = {}
    for pair in matched:
        trials = [trial for side in pair for cell in side.cells for trial in cell.results]
        for key in {key for trial in trials for key in trial.row if counts(key)}:
            values = dict.fromkeys(as_text(trial.row.get(key)) or "not known" for trial in trials)
            if len(values) > 1:
                found.setdefault(key, {}).update(values)
    return tuple(f"{key} {' / '.join(values)}" for key, values in sorted(found.items()))
