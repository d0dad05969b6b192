"""`harness report`, `export` and `compare`: what results say, in files and on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli_options import DEFAULT_TRACKING_URI, Json, Out, TrackingUri
from harness.cli_output import emit_json, note
from harness.errors import UsageError

Sweep = Annotated[str | None, typer.Argument(help="Name or id, or its beginning; the newest if not given.")]


def report(
    sweep: Sweep = None,
    out: Out = Path("out"),
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    bundle: Annotated[
        Path | None, typer.Option("--from", help="A bundle of `harness export`; no server is asked.")
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Of a run that comes with this package.")] = False,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Add the report to the sweep's MLflow run.")] = True,
    json: Json = False,
) -> None:
    """Make a sweep's report again.

    From what MLflow holds alone, or from a bundle of it, into a folder of the sweep's name.
    """
    from rich.console import Console

    from harness.bundle import SAMPLE
    from harness.report import make_report, report_of_bundle
    from harness.tracking.address import resolve

    if sum((sweep is not None, bundle is not None, sample)) > 1:
        raise UsageError("a sweep's name, --from and --sample exclude each other: give one of them")
    show = None if json else Console()
    if bundle is not None or sample:
        name, page = report_of_bundle(bundle or SAMPLE, out, show=show)
    else:
        name, page = make_report(sweep, out, resolve(tracking_uri), log=log, show=show)
    if json:
        emit_json({"sweep": name, "report": str(page)})
    else:
        note(f"Report: {page}")


def export(
    sweep: Sweep = None,
    out: Annotated[Path, typer.Option(help="Folder of the bundle.")] = Path("bundle"),
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    json: Json = False,
) -> None:
    """Write a sweep's results to a folder.

    Parquet and JSON with checksums, without names of hosts, paths and addresses, for `report --from` and `compare`.
    """
    from harness.report import export_sweep
    from harness.tracking.address import resolve

    name, manifest = export_sweep(sweep, out, resolve(tracking_uri))
    if json:
        emit_json({"sweep": name, "bundle": str(manifest.parent)})
    else:
        note(f"Bundle of {name}: {manifest.parent}")
