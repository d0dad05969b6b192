"""`harness report`: a sweep's report, from what MLflow holds."""

from __future__ import annotations

from pathlib import Path

from harness.errors import SweepNotFound
from harness.tracking.address import sqlite_path


def make_report(sweep: str | None, out: Path, tracking_uri: str, *, log: bool, show: bool) -> tuple[str, Path]:
    """Write the report to `<out>/<sweep's name>`; the name, and the page.

    Args:
        sweep: which; None is the newest.
        out: folder of reports.
        tracking_uri: of the store that holds it, resolved.
        log: add the report to the sweep's MLflow run.
        show: print the summary on stdout.

    Raises:
        SweepNotFound: there is none, or several.
        TrackingUnreachable: the store does not answer.
    """
    database = sqlite_path(tracking_uri)
    if database is not None and not database.exists():
        raise SweepNotFound(
            f"there is no database {database}; `harness run FILE` makes one, --tracking-uri names another"
        )
    from harness.tracking.results import load_sweep, log_report
    from reports.render import write_report
    from reports.terminal import print_summary
    from reports.verdicts import judge

    results = load_sweep(tracking_uri, sweep)
    page = write_report(results, out / results.name)
    if log:
        log_report(tracking_uri, results.run_id, page.parent)
    if show:
        from rich.console import Console

        print_summary(results, judge(results), Console())
    return results.name, page
