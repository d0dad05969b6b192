"""The tables of a report as text for display: HTML, Markdown and the terminal render the same values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from harness.schema import METRICS, Outcome
from reports import formatting
from reports.claims.measurement import Comparison
from reports.claims.verdicts import Verdict
from reports.output import wording
from reports.stats.cells import (
    TEST_ERROR,
    TRAIN_ERROR,
    Cell,
    Series,
    Trial,
    as_number,
    as_text,
    trained,
)
from reports.stats.inference import unseen_share
from reports.stats.summaries import MEMORY, SPEED, TIME, device_of, error_of, hardware_of, measured
from reports.tables.costs import NO_PRICES, Prices, price_of

SPLITS = {"Training error, %": TRAIN_ERROR, "Test error, %": TEST_ERROR}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A heading; numbers are aligned to the right."""

    title: str
    numeric: bool = False
    group: str = ""
    """Heading above the title, shared by adjacent columns of the same group."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table. The first entry of each row is the row's name."""

    name: str
    """Anchor of the table."""
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    anchors: Mapping[int, str] = field(default_factory=dict)
    """Row -> its identifier on the page."""
    links: Mapping[tuple[int, int], str] = field(default_factory=dict)
    """Row and column -> target of the entry's link: `#` and an identifier on the page, or an address."""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headings above the column titles, and the columns that each spans; empty if no column has one."""
        if not any(column.group for column in self.columns):
            return []
        runs = groupby(self.columns, key=lambda column: column.group)
        return [(group, len(list(columns))) for group, columns in runs]


def error_table(series: Sequence[Series]) -> Table:
    """Return training and test error by depth, one pair of columns per series."""
    depths = sorted({cell.depth for one in series for cell in one.cells if cell.depth is not None})
    by_depth = {(one.name, cell.depth): cell for one in series for cell in one.cells}
    cells = [cell for one in series for cell in one.cells]
    usual_n = _usual_n(cells)
    columns = [Column(title=one.name, numeric=True, group=split) for split in SPLITS for one in series]
    rows = [
        (
            str(depth),
            *(_error(by_depth.get((one.name, depth)), metric, usual_n) for metric in SPLITS.values() for one in series),
        )
        for depth in depths
    ]
    return Table(
        name="errors",
        caption="Final error by depth and shortcut: mean over seeds, 95 % interval",
        columns=(Column(title="Depth", numeric=True), *columns),
        rows=tuple(rows),
        note=_intervals_note(cells, usual_n),
        links={
            (row, column): f"#{anchor_of(cell)}"
            for row, depth in enumerate(depths)
            for column, one in enumerate([*series, *series], 1)
            if (cell := by_depth.get((one.name, depth))) is not None and cell.results
        },
    )


def anchor_of(cell: Cell) -> str:
    """Return the page's anchor for the cell's trials. A cell id may hold any characters; an anchor holds no space."""
    return "trials-of-" + "".join(char if char.isalnum() or char in "-_." else "-" for char in cell.cell_id)


def _error(cell: Cell | None, metric: str, usual_n: int) -> str:
    if cell is None:
        return formatting.DASH
    error = error_of(cell, metric)
    return formatting.with_interval(error) + ("" if error.n in (0, usual_n) else f", {formatting.sample_size(error.n)}")


def _usual_n(cells: Sequence[Cell]) -> int:
    """Return the number of seeds behind most means. It is printed once, and only other numbers are marked."""
    counts = Counter(n for cell in cells for metric in SPLITS.values() if (n := error_of(cell, metric).n))
    return max(counts, key=lambda n: (counts[n], n), default=0)


def _intervals_note(cells: Sequence[Cell], usual_n: int) -> str:
    """Explain the intervals: their n if it is the same in every cell, and how cells without an interval are treated."""
    errors = [error_of(cell, metric) for cell in cells for metric in SPLITS.values()]
    if not any(error.n for error in errors):
        return "No trial has a result yet."
    where = "in every cell" if all(error.n == usual_n for error in errors) else "where nothing else is said"
    parts = [f"n = {formatting.counted(usual_n, 'seed')} {where}."]
    parts += (
        ["Student's t intervals over seeds, cut at 0 and 100 %."]
        if any(error.n > 1 and not error.alike for error in errors)
        else []
    )
    if alike := [error.n for error in errors if error.alike]:
        share = formatting.percent(round(100 * unseen_share(min(alike))))
        parts.append(f"No interval where all seeds gave the same error: up to {share} of other seeds could differ.")
    if any(error.exact for error in errors):
        parts.append("With one seed, the exact binomial interval of its network's count of images.")
    if any(error.n == 1 and not error.exact for error in errors):
        parts.append("One seed has no interval.")
    return " ".join(parts)


def cells_table(cells: Sequence[Cell], prices: Prices = NO_PRICES) -> Table:
    """Return one row per cell: errors if trained, speed, memory, time, price if known; with their n."""
    errors = SPLITS if trained(cells) else {}
    spent = [price_of(cell, prices) for cell in cells]
    priced = any(price is not None for price in spent)
    titles = ["Cell", "Seeds with a result", *errors, "Images/s", "Peak memory, GiB", "Time per trial"]
    titles += [f"Price per trial, {prices.currency}"] * priced
    return Table(
        name="cells",
        caption="Every cell: mean over seeds, 95 % interval",
        columns=tuple(Column(title=title, numeric=place > 0) for place, title in enumerate(titles)),
        rows=tuple(
            (*_cell_row(cell, tuple(errors.values())), *[formatting.money(price)] * priced)
            for cell, price in zip(cells, spent, strict=True)
        ),
        links={(row, 0): f"#{anchor_of(cell)}" for row, cell in enumerate(cells)},
        note="Speed, memory and time are given only where all trials of a cell ran on the same kind of device."
        + (
            f" The price is the mean time times the devices, by the given prices in {prices.currency}."
            if priced
            else ""
        ),
    )


def _cell_row(cell: Cell, errors: Sequence[str]) -> tuple[str, ...]:
    speed, memory, time = measured(cell, SPEED), hardware_of(cell, MEMORY), hardware_of(cell, TIME)
    return (
        cell.label,
        f"{len(cell.results)} of {len(cell.trials)}",
        *(formatting.with_interval(error_of(cell, metric)) for metric in errors),
        formatting.rate_with_interval(speed.mean, speed.low, speed.high),
        formatting.decimal(memory.mean),
        formatting.duration(time.mean),
    )


def complexity_table(cells: Sequence[Cell], plan: Mapping[str, Any]) -> Table:
    """Return counted parameters and MACs, beside the published ones if there are any."""
    audit = {str(row.get("cell_id")): row for row in plan.get("audit") or ()}
    rows = [_audit_row(cell, audit.get(cell.cell_id, {})) for cell in cells]
    published = any(row.get("published_params") or row.get("published_macs") for row in audit.values())
    headings = [("", "Cell"), ("Counted", "Parameters"), ("Counted", "MACs, millions")]
    headings += [("Published", title) for title in ("Parameters", "MACs, millions", "Agrees", "Source")] * published
    return Table(
        name="complexity",
        caption="Complexity as counted" + (", beside the published figures" if published else ""),
        columns=tuple(
            Column(title=title, group=group if published else "", numeric=1 <= place <= 4)
            for place, (group, title) in enumerate(headings)
        ),
        rows=tuple(row[: len(headings)] for row in rows),
        note="A MAC is one multiply-accumulate, two FLOPs; one forward pass of one image."
        + ("" if published else " No figures are published for these networks on images of this size."),
    )


def _audit_row(cell: Cell, row: Mapping[str, Any]) -> tuple[str, ...]:
    def figure(key: str, measured: str = "") -> float | None:
        found = as_number(row.get(key))
        return cell.constant(measured) if found is None and measured else found

    within = row.get("within")
    source = "; ".join(as_text(row.get(key)) for key in ("source", "convention") if as_text(row.get(key)))
    return (
        cell.label,
        formatting.whole(figure("params", "model/params")),
        formatting.millions(figure("macs", "model/macs")),
        formatting.whole(figure("published_params")),
        formatting.millions(figure("published_macs")),
        formatting.DASH if within is None else ("yes" if within else "no"),
        source or formatting.DASH,
    )


def outcome_table(trials: Sequence[Trial]) -> Table:
    """Count the trials by outcome."""
    counts: dict[str, int] = {}
    for trial in trials:
        counts[trial.outcome] = counts.get(trial.outcome, 0) + 1
    order = [*map(str, Outcome), "running", "missing"]
    known = [name for name in order if name in counts] + sorted(set(counts) - set(order))
    return Table(
        name="outcomes",
        caption="How the trials ended",
        columns=(Column(title="Outcome"), Column(title="Trials", numeric=True), Column(title="Meaning")),
        rows=tuple((name.replace("_", " "), str(counts[name]), MEANINGS.get(name, "")) for name in known),
    )


MEANINGS = {
    "finished": "a result",
    "diverged": "a result: the loss left the numbers, or the error stayed near chance",
    "failed": "no result: an error ended it",
    "out_of_memory": "no result: the device's memory did not suffice",
    "timed_out": "no result: it ran past its limit",
    "infeasible": "no result: the cluster can never run it",
    "stopped": "no result: the sweep was stopped",
    "running": "no result yet",
    "missing": "no result: it never started",
}


def trials_table(cells: Sequence[Cell], mlflow_url: str | None = None) -> Table:
    """Return every trial with outcome, attempt, time and speed; with device and reason if trials differ in them.

    Args:
        cells: cells in the order of the rows.
        mlflow_url: address of the tracking server; each run's id then links to its page there.
    """
    listed = [(cell, trial) for cell in cells for trial in cell.trials]
    devices = len({device for _, trial in listed if (device := device_of(trial))}) > 1
    reasons = any(as_text(trial.row.get("reason")) for _, trial in listed)
    errors = SPLITS if trained(cells) else {}
    titles = ["Trial", "Outcome", "Attempt", *errors, "Images/s", "Time", RUN]
    numeric = range(2, titles.index(RUN))
    titles += ["Device"] * devices + ["Reason"] * reasons
    firsts = {cell.cell_id: row for row, (cell, _) in reversed(list(enumerate(listed)))}
    return Table(
        name="trials",
        caption="Every trial",
        columns=tuple(Column(title=title, numeric=place in numeric) for place, title in enumerate(titles)),
        rows=tuple(_trial_row(cell, trial, tuple(errors.values()), devices, reasons) for cell, trial in listed),
        anchors={firsts[cell.cell_id]: anchor_of(cell) for cell in cells if cell.cell_id in firsts},
        links={
            (row, titles.index(RUN)): f"{mlflow_url.rstrip('/')}/#/runs/{run}"
            for row, (_, trial) in enumerate(listed)
            if mlflow_url and (run := as_text(trial.row.get("run_id")))
        },
    )


RUN = "MLflow run"


def missing_table(cells: Sequence[Cell]) -> Table:
    """Return the trials without a result, with the reasons."""
    absent = [(cell, trial) for cell in cells for trial in cell.trials if not trial.is_result]
    return Table(
        name="missing",
        caption="Trials without a result",
        columns=(Column(title="Trial"), Column(title="Outcome"), Column(title="Reason")),
        rows=tuple(
            (trial_name(cell, trial), trial.outcome.replace("_", " "), _reason(trial)) for cell, trial in absent
        ),
    )


def _trial_row(cell: Cell, trial: Trial, errors: Sequence[str], devices: bool, reasons: bool) -> tuple[str, ...]:
    attempt = trial.number("attempt")
    return (
        trial_name(cell, trial),
        trial.outcome.replace("_", " "),
        formatting.DASH if attempt is None else str(int(attempt)),
        *(formatting.decimal(trial.number(metric)) for metric in errors),
        formatting.rate(trial.number(SPEED)),
        formatting.duration(trial.number(TIME)),
        as_text(trial.row.get("run_id")) or formatting.DASH,
        *([device_of(trial) or formatting.DASH] if devices else []),
        *([_reason(trial)] if reasons else []),
    )


def trial_name(cell: Cell, trial: Trial) -> str:
    """Return the name of its run in MLflow: `resnet-20-A seed 0`."""
    return f"{cell.label} seed {formatting.DASH if trial.seed is None else trial.seed}"


def _reason(trial: Trial) -> str:
    return as_text(trial.row.get("reason")) or formatting.DASH


def comparisons_table(verdict: Verdict) -> Table:
    """Return the evidence for one verdict: each comparison with its interval, its n and every value."""
    along = any(one.trend for one in verdict.comparisons)
    titles = ("Compared", "Difference", "n", "Method", "First", "Second", *["Mean error along depth"] * along)
    rows = [_comparison_row(one, along) for one in verdict.comparisons]
    tested = dict.fromkeys(
        f"{formatting.capital(test.contrast)}: {METRICS[test.metric].label.lower()}" for test in verdict.claim.tests
    )
    return Table(
        name=verdict.claim.id,
        caption="; ".join(tested),
        columns=tuple(Column(title=title, numeric=1 <= place <= 2) for place, title in enumerate(titles)),
        rows=tuple(rows),
    )


def _comparison_row(one: Comparison, along: bool) -> tuple[str, ...]:
    first, second = ([*one.less[index : index + 1], side] for index, side in enumerate((one.first, one.second)))
    return (
        wording.compared(one),
        wording.difference(one),
        wording.seeds(one) or formatting.DASH,
        one.method or one.note,
        "; ".join(map(wording.side_values, first)),
        "; ".join(map(wording.side_values, second)),
        *[wording.trend(one)] * along,
    )
