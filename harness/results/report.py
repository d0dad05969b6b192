"""A sweep's report, from MLflow or a bundle: `harness report`, `harness export`, and the end of `harness run`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import HarnessError, SweepNotFound, UsageError
from harness.storage import child, with_home
from harness.tracking.address import sqlite_path
from harness.waits import say_on_stderr

if TYPE_CHECKING:
    from rich.console import Console

    from harness.tracking.results import SweepResults
    from reports.claims.assessment import Assessment
    from reports.output.render import Settings


def make_report(
    sweep: str | None,
    out: Path,
    tracking_uri: str,
    *,
    experiment: str | None = None,
    log: bool,
    show: Console | None,
    settings: Settings | None = None,
    warn: Callable[[str], None] = say_on_stderr,
) -> tuple[str, Path]:
    """Write the report to `<out>/<sweep's name>`; return the name and the page's path.

    Args:
        sweep: the sweep; None is the newest.
        out: folder of reports.
        tracking_uri: resolved URI of the store that holds the sweep.
        experiment: the sweep's experiment, since several may hold one sweep; None for any.
        log: add the report to the sweep's MLflow run.
        show: console for the summary.
        settings: other settings of the report.
        warn: takes a message if the report is written but cannot be added to the run.

    Raises:
        SweepNotFound: there is none, or several match.
        TrackingUnreachable: the store does not answer.
    """
    from reports.claims.assessment import assess

    results = stored_sweep(tracking_uri, sweep, experiment)
    assessment = assess(results)
    page = write(assessment, out, show=show, settings=settings)
    if log:
        try:
            _log(assessment, tracking_uri, page.parent)
        except HarnessError as error:
            warn(f"The report is written, but is not in MLflow: {error}")
    return results.name, page


def _log(assessment: Assessment, tracking_uri: str, folder: Path) -> None:
    from harness.tracking.results import log_report
    from reports.output.note import sweep_note

    log_report(tracking_uri, assessment.results.run_id, folder, sweep_note(assessment))


def report_of_bundle(
    bundle: Path, out: Path, *, show: Console | None, settings: Settings | None = None
) -> tuple[str, Path]:
    """Write the report of a bundle, as `make_report` does, without any server.

    Raises:
        BundleError: the folder is not a bundle.
    """
    from harness.results.bundle import read_bundle
    from reports.claims.assessment import assess

    results = read_bundle(bundle)
    return results.name, write(assess(results), out, show=show, settings=settings)


def export_sweep(sweep: str | None, out: Path, tracking_uri: str) -> tuple[str, Path]:
    """Write a sweep's results to a bundle; return the sweep's name and the path of the bundle's manifest.

    Raises:
        SweepNotFound, TrackingUnreachable: see `make_report`.
        StorageError: the folder cannot be written.
    """
    from harness.results.bundle import write_bundle

    results = stored_sweep(tracking_uri, sweep)
    return results.name, write_bundle(results, out)


def results_of_side(names: str, tracking_uri: str) -> list[SweepResults]:
    """Return the results of one sweep or bundle, or of several with commas between (no sweep's name has a comma).

    Raises:
        UsageError: a name before, between or after commas is missing.
        SweepNotFound, BundleError, TrackingUnreachable: see `results_of`.
    """
    from harness.results.bundle import MANIFEST

    named = [names] if Path(names, MANIFEST).exists() else [with_home(source.strip()) for source in names.split(",")]
    if "" in named:
        raise UsageError(f"{names!r} lacks a name; give a sweep or a bundle's folder, several as A1,A2,A3")
    return [results_of(source, tracking_uri) for source in named]


def results_of(source: str, tracking_uri: str) -> SweepResults:
    """Return the results in a bundle's folder, if the source is one, else those of a sweep of the tracking store."""
    from harness.results.bundle import MANIFEST, read_bundle

    if Path(source, MANIFEST).exists():
        return read_bundle(Path(source))
    try:
        return stored_sweep(tracking_uri, source)
    except SweepNotFound as error:
        if not Path(source).is_dir():
            raise
        raise SweepNotFound(f"the folder {source} is no bundle, since it has no {MANIFEST}; and {error}") from error


def stored_sweep(tracking_uri: str, sweep: str | None, experiment: str | None = None) -> SweepResults:
    """Return the results of a sweep in a tracking store; see `load_sweep`."""
    database = sqlite_path(tracking_uri)
    if database is not None and not database.exists():
        raise SweepNotFound(
            f"there is no database {database}; `harness run FILE` makes one, --tracking-uri names another"
        )
    from harness.tracking.results import load_sweep

    return load_sweep(tracking_uri, sweep, experiment)


def write(assessment: Assessment, out: Path, *, show: Console | None, settings: Settings | None = None) -> Path:
    """Write a report below `out`, print its summary if `show` is given, and return the page's path."""
    from reports.output.render import PLAIN, write_report
    from reports.output.terminal import print_summary

    page = write_report(assessment, child(out, assessment.results.name), settings or PLAIN)
    if show is not None:
        print_summary(assessment, show)
    return page
