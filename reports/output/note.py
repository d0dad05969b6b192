"""A sweep in a few lines of Markdown: the description of its run in MLflow's UI."""

from __future__ import annotations

from reports import formatting
from reports.claims.assessment import Assessment
from reports.output import markdown, wording
from reports.tables import report_tables as tables


def sweep_note(assessment: Assessment) -> str:
    """Return description, missing results, one line per verdict, and the table of errors, or else of speeds."""
    results, verdicts = assessment.results, assessment.verdicts
    partial = wording.incomplete(results.status, assessment.trials)
    trained, cells = assessment.trained, assessment.cells
    lines = [
        f"- **{markdown.escape(str(verdict.ruling))}**: {markdown.escape(verdict.claim.statement)} "
        f"{markdown.escape(formatting.capital(wording.verdict_detail(verdict)))}."
        for verdict in verdicts
    ]
    parts = [
        markdown.escape(results.description),
        f"**Not the whole sweep.** {markdown.escape(partial)}" if partial else "",
        "\n".join(lines),
        *map(markdown.escape, wording.assurances(verdicts)),
        markdown.table(tables.error_table(assessment.series) if trained else tables.cells_table(cells)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
