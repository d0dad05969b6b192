"""A sweep in a few lines of Markdown: the description of its run in MLflow's UI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reports.claims.verdicts import Verdict
from reports.output import markdown, wording
from reports.stats.cells import cells_of, ordered, series_of, trained
from reports.tables import report_tables as tables

if TYPE_CHECKING:
    from harness.tracking.results import SweepResults


def sweep_note(results: SweepResults, verdicts: Sequence[Verdict]) -> str:
    """Return description, missing results, one line per verdict, and the table of errors, or else of speeds."""
    cells = ordered(cells_of(results))
    partial = wording.incomplete(results.status, [trial for cell in cells for trial in cell.trials])
    lines = [
        f"- **{markdown.escape(str(verdict.ruling))}**: {markdown.escape(verdict.claim.statement)} "
        f"{markdown.escape(wording.capital(wording.verdict_detail(verdict)))}."
        for verdict in verdicts
    ]
    parts = [
        markdown.escape(results.description),
        f"**Not the whole sweep.** {markdown.escape(partial)}" if partial else "",
        "\n".join(lines),
        *map(markdown.escape, wording.assurances(verdicts)),
        markdown.table(tables.error_table(series_of(cells)) if trained(cells) else tables.cells_table(cells)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
