"""A sweep's report, from what MLflow holds and nothing else: `harness report`, and the end of `harness run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import SweepNotFound
from harness.tracking.address import sqlite_path

if TYPE_CHECKING:
    from rich.console import Console


def make_report(
    sweep: str | None, out: Path, tracking_uri: str, *, log: bool, show: Console | None
) -> tuple[str, Path]:
    """Write the report to `<out>/<sweep's name>`; the name, and the page.

    Args:
        sweep: which; None is the newest.
        out: folder of reports.
        tracking_uri: of the store that holds it, resolved.
        log: add the report to the sweep's MLflow run.
        show: where the summary is printed.

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
    if show is not None:
        print_summary(results, judge(results), show)
    return results.name, page
