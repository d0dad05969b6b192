"""The common basis of all parts of a report: one sweep's results, its cells, and the verdicts on its claims."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from reports.claims.verdicts import Verdict, claims_for, judge_claims
from reports.stats.cells import Cell, Series, Trial, cells_of, ordered, series_of, trained

if TYPE_CHECKING:
    from harness.tracking.results import SweepResults


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """One sweep as judged once. The page, the terminal summary and the note in MLflow all show the same assessment."""

    results: SweepResults
    cells: tuple[Cell, ...]
    """Every cell, sorted by shortcut and depth as in the papers."""
    verdicts: tuple[Verdict, ...]
    """One verdict for each claim that the workload names, or else for each claim that the cells can decide."""

    @cached_property
    def series(self) -> tuple[Series, ...]:
        """The cells that have a depth and a shortcut, grouped into lines of a figure."""
        return series_of(self.cells)

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """Every trial, in the order of the cells."""
        return tuple(trial for cell in self.cells for trial in cell.trials)

    @property
    def trained(self) -> bool:
        """Whether any cell is trained. A sweep of timing trials alone has no errors to show."""
        return trained(self.cells)


def assess(results: SweepResults) -> Assessment:
    """Group the trials of a sweep into cells and judge its claims. Do this once for each report."""
    cells = cells_of(results)
    claims = claims_for(cells, results.plan.get("claims") or ())
    return Assessment(results=results, cells=ordered(cells), verdicts=judge_claims(claims, cells))
