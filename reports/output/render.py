"""The report of one sweep, written to a folder: a page, Markdown, CSV, JSON and figures.

Everything comes from `Assessment`, nothing from the clock, the locale or this machine. The same runs give the same
bytes.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from harness.errors import StorageError
from reports import formatting
from reports.claims.assessment import Assessment
from reports.figures import activity as activity_figures
from reports.figures import steps as step_figures
from reports.figures.errors import draw_figures
from reports.figures.palette import dark_colours
from reports.output import exports, latex, markdown, wording
from reports.output.templating import template_environment
from reports.stats.cells import trained
from reports.stats.summaries import device_of
from reports.tables import devices as device_tables
from reports.tables import provenance, published_training, step_parts
from reports.tables import report_tables as tables
from reports.tables.costs import NO_PRICES, Prices
from reports.tables.report_tables import Table
from reports.tables.scaling import scaling_lines

PAGE = "index.html"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Options of a report."""

    mlflow_url: str | None = None
    """Address of the tracking server, for links from trials to their runs."""
    prices: Prices = NO_PRICES
    """Prices of devices, given by the user."""
    latex: bool = False
    """Whether to write the tables for papers too."""


PLAIN = Settings()


def write_report(assessment: Assessment, out: Path, settings: Settings = PLAIN) -> Path:
    """Write the report of a sweep into a folder, which is created if needed; return the path of its page.

    Each file of an earlier report is replaced as a whole; other files in the folder stay.

    Raises:
        StorageError: the folder cannot be written.
    """
    files = report_files(assessment, settings)
    try:
        _write_whole(files, out)
    except OSError as error:
        raise StorageError(
            f"the report cannot be written to {out}: {error.strerror or error}. Name a folder that can be written"
        ) from error
    return out / PAGE


def report_files(assessment: Assessment, settings: Settings = PLAIN) -> dict[str, str]:
    """Return every file of a report, by its path in the report's folder."""
    context = _context(assessment, settings)
    results, figures = assessment.results, context["figures"]
    return {
        PAGE: _page(context),
        "report.md": markdown.render(context),
        "cells.csv": exports.cells_csv(assessment.cells),
        "trials.csv": exports.trials_csv(results.trials),
        "claims.json": exports.claims_json(results, assessment.verdicts),
        **({f"tables/{one.name}.tex": latex.table(one) for one in _for_papers(context)} if settings.latex else {}),
        **{f"figures/{figure.name}.svg": figure.file for figure in figures},
        **{f"figures/{figure.name}.csv": exports.figure_csv(figure) for figure in figures},
    }


PAPER_TABLES = ("errors", "cell_table", "steps", "scaling", "complexity", "milestones")


def _for_papers(context: Mapping[str, Any]) -> list[Table]:
    tables_of_report = (context[name] for name in PAPER_TABLES)
    return [table for table in tables_of_report if table.rows]


def _context(assessment: Assessment, requested: Settings) -> dict[str, Any]:
    """Return the contents of the page and the Markdown, in order."""
    results, cells = assessment.results, assessment.cells
    series, trials = assessment.series, assessment.trials
    return {
        "results": results,
        "depths": [cell.depth for one in series for cell in one.cells],
        "headline": _headline(assessment),
        "partial": wording.incomplete(results.status, trials),
        "verdicts": assessment.verdicts,
        "figures": (
            *draw_figures(series, results.curves, requested.prices),
            *step_figures.draw(cells),
            *activity_figures.draw(cells, results.activity),
        ),
        "trained": assessment.trained,
        "errors": tables.error_table([one for one in series if trained(one.cells)]),
        "published_errors": published_training.published_errors_table(
            [cell for cell in cells if not cell.timed], results.plan
        ),
        "cell_table": tables.cells_table(cells, requested.prices),
        "steps": step_parts.steps_table(cells),
        "scaling": step_parts.scaling_table(scaling_lines(cells)),
        "activity": device_tables.activity_table(cells),
        "complexity": tables.complexity_table(cells, results.plan),
        "deviations": published_training.deviations_table(cells, results.plan),
        "milestones": published_training.milestones_table(cells),
        "outcomes": tables.outcome_table(trials),
        "missing": tables.missing_table(cells),
        "trials": tables.trials_table(cells, requested.mlflow_url),
        "facts": provenance.facts_table(results, cells),
        "machines": provenance.machine_table(trials),
        "settings": provenance.settings_table(results.trials),
        "environment": provenance.environment_table(results),
        "comparisons_table": tables.comparisons_table,
        "formatting": formatting,
        "wording": wording,
    }


def _headline(assessment: Assessment) -> str:
    """Return one line with the numbers of trials and cells, the devices and the start."""
    trials, cells = assessment.trials, assessment.cells
    devices = sorted({device for trial in trials if (device := device_of(trial))})
    parts = [formatting.counted(len(trials), "trial"), formatting.counted(len(cells), "cell")]
    parts += ([formatting.listed(devices)] if devices else []) + [formatting.moment(assessment.results.started_ms)]
    return " · ".join(parts)


def _page(context: Mapping[str, Any]) -> str:
    environment = template_environment(autoescape=True)
    css = environment.get_template("style.css.j2").render(dark=dark_colours(context["depths"]))
    script = resources.files("reports.output").joinpath("templates", "page.js").read_text(encoding="utf-8")
    figures = [(figure, [Markup(panel) for panel in figure.panels]) for figure in context["figures"]]  # noqa: S704
    ours = {"css": css, "script": script}
    return environment.get_template("index.html.j2").render(
        {
            **context,
            "drawn": figures,
            **{name: Markup(text) for name, text in ours.items()},  # noqa: S704 - our own style sheet and script
            **{f"{name}_hash": _csp_hash(text) for name, text in ours.items()},
        }
    )


def _csp_hash(content: str) -> str:
    """Return the hash with which a content security policy allows an inline element."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _write_whole(files: Mapping[str, str], out: Path) -> None:
    """Write every file to a temporary folder, then rename each into place, so that no reader sees half a file."""
    out.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".report-", dir=out))
    try:
        for name, content in files.items():
            (staging / name).parent.mkdir(exist_ok=True)
            (staging / name).write_bytes(content.encode())
        for name in files:
            (out / name).parent.mkdir(exist_ok=True)
            (staging / name).replace(out / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
