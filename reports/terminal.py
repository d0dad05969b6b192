"""A sweep's result on the terminal: the errors, then one line a claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from reports import wording
from reports.cells import TEST_ERROR, TRAIN_ERROR, Series, cells_of, series_of
from reports.statistics import estimate_pct
from reports.verdicts import Ruling, Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from harness.tracking.results import SweepResults

STYLES = {Ruling.SUPPORTED: "bold green", Ruling.CONTRADICTED: "bold red", Ruling.INCONCLUSIVE: "bold yellow"}


def print_summary(results: SweepResults, verdicts: Sequence[Verdict], console: Console) -> None:
    """Error by depth and shortcut with 95 % intervals over seeds, then the verdict on each claim. Fits 80 columns."""
    console.print(_errors(series_of(cells_of(results))))
    for verdict in verdicts:
        console.print(_line(verdict))


def _errors(series: Sequence[Series]) -> Table:
    table = Table(title="Final error in %, mean over seeds and 95 % interval", title_justify="left", title_style="bold")
    for heading in ("shortcut", "depth", "seeds", "training error", "test error"):
        table.add_column(heading, justify="left" if heading == "shortcut" else "right", no_wrap=heading != "shortcut")
    for one in series:
        for cell in one.cells:
            table.add_row(
                Text(one.name),
                str(cell.depth),
                f"{len(cell.results)} of {len(cell.trials)}",
                wording.with_interval(estimate_pct(cell.values(TRAIN_ERROR))),
                wording.with_interval(estimate_pct(cell.values(TEST_ERROR))),
                end_section=cell is one.cells[-1],
            )
    return table


def _line(verdict: Verdict) -> Text:
    return Text.assemble(
        f"{verdict.claim.brief}: ",
        (str(verdict.ruling), STYLES.get(verdict.ruling, "bold")),
        wording.line_after_ruling(verdict),
    )
