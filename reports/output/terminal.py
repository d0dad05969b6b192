"""A sweep's result on the terminal: the errors, then one line per claim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from reports import formatting
from reports.claims.assessment import Assessment
from reports.claims.verdicts import Ruling, Verdict
from reports.output import wording
from reports.stats.cells import TEST_ERROR, TRAIN_ERROR, Cell, Series
from reports.stats.summaries import SPEED, error_of, measured

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {
    Ruling.SUPPORTED: "bold green",
    Ruling.CONTRADICTED: "bold red",
    Ruling.HELD: "green",
    Ruling.INCONCLUSIVE: "bold yellow",
}


def print_summary(assessment: Assessment, console: Console) -> None:
    """Print errors by depth and shortcut with 95 % intervals over seeds, then each verdict. The output fits 80 columns.

    For a sweep that was only timed, speeds replace the errors.
    """
    readable = _spaced if console.encoding.startswith("utf") else _ascii
    trained = assessment.trained
    console.print(_errors(assessment.series, readable) if trained else _speeds(assessment.cells, readable))
    if lacking := wording.incomplete(assessment.results.status, assessment.trials):
        console.print(Text(readable(lacking), style="yellow"))
    for verdict in assessment.verdicts:
        console.print(_line(verdict, readable))
    for text in wording.assurances(assessment.verdicts):
        console.print(Text(readable(text), style="dim"))


def _spaced(text: str) -> str:
    """Replace no-break spaces, so that the text can be copied and searched."""
    return text.replace(formatting.NBSP, " ")


def _ascii(text: str) -> str:
    """Replace our own signs for a terminal without Unicode; other signs become question marks."""
    ours = str.maketrans({formatting.DASH: "-", formatting.MINUS: "-", "→": "->"})
    return _spaced(text).translate(ours).encode("ascii", "replace").decode()


def _errors(series: Sequence[Series], readable: Callable[[str], str]) -> Table:
    table = Table(title="Final error in %, mean over seeds and 95 % interval", title_justify="left", title_style="bold")
    for heading in ("shortcut", "depth", "seeds", "training error", "test error"):
        table.add_column(heading, justify="left" if heading == "shortcut" else "right", no_wrap=heading != "shortcut")
    for one in series:
        for cell in one.cells:
            table.add_row(
                Text(readable(one.name)),
                str(cell.depth),
                f"{len(cell.results)} of {len(cell.trials)}",
                readable(formatting.with_interval(error_of(cell, TRAIN_ERROR))),
                readable(formatting.with_interval(error_of(cell, TEST_ERROR))),
                end_section=cell is one.cells[-1],
            )
    return table


def _speeds(cells: Sequence[Cell], readable: Callable[[str], str]) -> Table:
    table = Table(title="Images per second, mean and 95 % interval", title_justify="left", title_style="bold")
    for heading in ("cell", "trials", "images/s"):
        table.add_column(heading, justify="left" if heading == "cell" else "right", no_wrap=heading != "cell")
    for cell in cells:
        speed = measured(cell, SPEED)
        table.add_row(
            Text(readable(cell.label)),
            f"{len(cell.results)} of {len(cell.trials)}",
            readable(formatting.rate_with_interval(speed.mean, speed.low, speed.high)),
        )
    return table


def _line(verdict: Verdict, readable: Callable[[str], str]) -> Text:
    return Text.assemble(
        readable(f"{verdict.claim.brief}: "),
        (str(verdict.ruling), STYLES.get(verdict.ruling, "bold")),
        readable(wording.line_after_ruling(verdict)),
    )
