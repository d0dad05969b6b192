"""The report on planted sweeps, kept as files for review.

After an intended change: `python tests/golden/reports/test_golden_report.py` writes them anew; read the diff.
"""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from harness.tracking.results import SweepResults
from reports.claims.assessment import assess
from reports.output.render import report_files
from reports.output.terminal import print_summary
from reports.testing.synthetic import synthetic_sweep

HERE = Path(__file__).parent


def whole_sweep() -> SweepResults:
    """Return a sweep with the effect that the paper reports."""
    return synthetic_sweep()


def broken_sweep() -> SweepResults:
    """Return a sweep with one trial failed, one missing, one diverged and one still running."""
    outcomes = {
        ("plain", 44, 0): "failed",
        ("plain", 44, 1): "missing",
        ("A", 8, 2): "running",
        ("B", 44, 2): "diverged",
    }
    reasons = {("plain", 44, 0): "worker 0 was killed (signal 9)"}
    return synthetic_sweep(status="running", outcomes=outcomes, reasons=reasons)


SWEEPS = {"whole": whole_sweep, "broken": broken_sweep}


def shown(sweep: str) -> dict[str, str]:
    """Return the Markdown report and the terminal's summary."""
    results = SWEEPS[sweep]()
    console = Console(file=io.StringIO(), width=80)
    print_summary(assess(results), console)
    summary = console.file.getvalue()  # type: ignore[attr-defined]
    lines = "".join(f"{line.rstrip()}\n" for line in summary.splitlines())
    return {f"{sweep}.md": report_files(assess(results))["report.md"], f"{sweep}.txt": lines}


@pytest.mark.parametrize("sweep", SWEEPS)
def test_the_report_and_the_summary_read_as_they_did(sweep: str) -> None:
    for name, text in shown(sweep).items():
        assert text == (HERE / name).read_text(), name


if __name__ == "__main__":
    for sweep in SWEEPS:
        for name, text in shown(sweep).items():
            (HERE / name).write_text(text)
