"""Two tables of a report: deviations from the published training, and the time to reach each error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from harness.schema import ERROR_LADDER_PCT, time_to_error
from reports import formatting
from reports.stats.cells import IMAGES, TEST_ERROR, TRAIN_ERROR, Cell
from reports.stats.inference import estimate
from reports.stats.summaries import error_of
from reports.tables.report_tables import Column, Table


class DeviationRow(TypedDict, total=False):
    """One setting of a cell in `SweepResults.plan["deviations"]` that differs from the published one."""

    name: str
    published: str | None
    """The published value; None if the paper does not print it."""
    used: str


class LedgerRow(TypedDict, total=False):
    """One cell of `SweepResults.plan["deviations"]`."""

    cell_id: str
    label: str
    source: str | None
    """The publication to compare with: paper, and section or table. None if no paper trained such a network."""
    deviations: Sequence[DeviationRow]


def deviations_table(cells: Sequence[Cell], plan: Mapping[str, Any]) -> Table:
    """Return every setting that differs from the published one, with its cells. No rows if nothing is compared."""
    ledgers: Sequence[LedgerRow] = plan.get("deviations") or ()
    compared = [ledger for ledger in ledgers if ledger.get("source")]
    found: dict[tuple[str, ...], list[str]] = {}
    for ledger in compared:
        for one in ledger.get("deviations") or ():
            published = one.get("published")
            row = (str(one.get("name")), "not printed" if published is None else str(published), str(one.get("used")))
            found.setdefault((*row, str(ledger.get("source"))), []).append(str(ledger.get("label")))
    rows = [(*row, _cells(labels, len(cells))) for row, labels in found.items()]
    rows = rows or [("none", formatting.DASH, formatting.DASH, source, "all") for source in _sources(compared)]
    return Table(
        name="deviations",
        caption="How training differs from the paper",
        columns=tuple(Column(title=title) for title in ("Setting", "Published", "Here", "Published in", "Cells")),
        rows=tuple(rows),
        note=_uncompared([str(ledger.get("label")) for ledger in ledgers if not ledger.get("source")]),
    )


def _cells(labels: Sequence[str], of: int) -> str:
    return "all" if len(labels) == of else ", ".join(labels)


def _sources(compared: Sequence[LedgerRow]) -> list[str]:
    return list(dict.fromkeys(str(ledger.get("source")) for ledger in compared))


def _uncompared(labels: Sequence[str]) -> str:
    return f"No published training to compare with: {', '.join(labels)}." if labels else ""


PUBLISHED_METRICS = {
    "train_error_pct": ("training", TRAIN_ERROR),
    "test_error_pct": ("test", TEST_ERROR),
    "top1_error_pct": ("test, top 1", TEST_ERROR),
    "top5_error_pct": ("test, top 5", "final/test_error_top5_pct"),
}


def published_errors_table(cells: Sequence[Cell], plan: Mapping[str, Any]) -> Table:
    """Return each published error beside the measured one. No rows if no paper trained a network on this data."""
    by_id = {cell.cell_id: cell for cell in cells}
    found = [
        (by_id[str(row.get("cell_id"))], error)
        for row in plan.get("audit") or ()
        if str(row.get("cell_id")) in by_id
        for error in row.get("published_errors") or ()
        if error.get("metric") in PUBLISHED_METRICS
    ]
    titles = ("Cell", "Error", "Here, %", "n", "Published, %", "Which is", "Evaluated by", "Published in")
    return Table(
        name="published-errors",
        caption="Errors beside the published ones: mean over seeds, 95 % interval",
        columns=tuple(Column(title=title, numeric=2 <= place <= 4) for place, title in enumerate(titles)),
        rows=tuple(_beside(cell, error) for cell, error in found),
    )


def _beside(cell: Cell, error: Mapping[str, Any]) -> tuple[str, ...]:
    name, metric = PUBLISHED_METRICS[str(error.get("metric"))]
    values = cell.values(metric)
    ours = error_of(cell, metric) if metric in IMAGES else estimate(values, floor=0.0, ceiling=100.0)
    printed = (str(error.get(key)) for key in ("printed", "statistic", "protocol", "source"))
    return (cell.label, name, formatting.with_interval(ours), str(ours.n), *printed)


def milestones_table(cells: Sequence[Cell]) -> Table:
    """Return the training time to each test error of the ladder if all seeds reached it, else how many did.

    No rows if no trial was timed, as in sweeps of older versions.
    """
    reached = [pct for pct in ERROR_LADDER_PCT if any(_times(cell, pct) for cell in cells)]
    rows = [(cell.label, *(_reached(cell, pct) for pct in reached)) for cell in cells if cell.results]
    return Table(
        name="milestones",
        caption="Training time to a test error, mean over seeds",
        columns=(Column(title="Cell"), *(Column(title=f"{pct} %", numeric=True) for pct in reached)),
        rows=tuple(rows if reached else ()),
        note="Where not all seeds reached an error, how many did: the others' times are longer than their training. An "
        f"error is known at the end of an epoch. Evaluation is left out; {TOTAL_CLOCK} in trials.csv include it.",
    )


TOTAL_CLOCK = time_to_error(ERROR_LADDER_PCT[0], evaluation=True).replace(str(ERROR_LADDER_PCT[0]), "*")


def _times(cell: Cell, pct: int) -> tuple[float, ...]:
    return cell.values(time_to_error(pct, evaluation=False))


def _reached(cell: Cell, pct: int) -> str:
    times = _times(cell, pct)
    if len(times) < len(cell.results):
        return f"{len(times)} of {len(cell.results)}"
    return formatting.duration(estimate(times).mean)
