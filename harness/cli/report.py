"""`harness report`, `export` and `compare`: results in files and on the terminal."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import Json, Out, TrackingUri
from harness.cli.output import emit, emit_json, note, wrap
from harness.errors import ExitCode, UsageError
from harness.tracking.address import DEFAULT_TRACKING_URI

Sweep = Annotated[str | None, typer.Argument(help="Name or id, or its beginning; the newest if not given.")]


def report(
    sweep: Sweep = None,
    out: Out = Path("out"),
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    bundle: Annotated[
        Path | None, typer.Option("--from", help="A bundle of `harness export`; no server is asked.")
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Of a run that comes with this package.")] = False,
    mlflow_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of a tracking server: the report links each trial to its run there."),
    ] = None,
    latex: Annotated[
        bool, typer.Option("--latex", help="Write the tables for papers too (tables/*.tex, booktabs).")
    ] = False,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Add the report to the sweep's MLflow run.")] = True,
    prices: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML: `currency`, and `per_device_hour` by device name.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a sweep's report again.

    From what MLflow holds alone, or from a bundle of it, into a folder of the sweep's name.
    """
    from rich.console import Console

    from harness.results.bundle import SAMPLE
    from harness.results.prices import read_prices
    from harness.results.report import make_report, report_of_bundle
    from harness.tracking.address import resolve
    from reports.output.render import Settings
    from reports.tables.costs import NO_PRICES

    if sum((sweep is not None, bundle is not None, sample)) > 1:
        raise UsageError("a sweep's name, --from and --sample exclude each other: give one of them")
    known = NO_PRICES if prices is None else read_prices(prices)
    show, settings = None if json else Console(), Settings(mlflow_url=_page(mlflow_url), prices=known, latex=latex)
    if bundle is not None or sample:
        # The bundle's sweep may be here too, made by the same workload.
        name, page = report_of_bundle(bundle or SAMPLE, out / "sample" if sample else out, show=show, settings=settings)
    else:
        uri = resolve(tracking_uri)
        name, page = make_report(sweep, out, uri, log=log, show=show, settings=settings, warn=note)
    if json:
        emit_json({"sweep": name, "report": str(page)})
    else:
        note(f"Report: {page}")


def _page(server: str | None) -> str | None:
    """Return the address of a server as links show it, without user, password and query.

    Raises:
        UsageError: it is no address of a server.
    """
    from harness.tracking.address import display, page_url, resolve

    if server is None:
        return None
    if not server.startswith(("http://", "https://")):
        raise UsageError(
            f"--mlflow-url {display(server)!r} is no address of a server; it begins with http:// or https://"
        )
    return page_url(resolve(server))


def export(
    sweep: Sweep = None,
    out: Annotated[Path, typer.Option(help="Folder of the bundle.")] = Path("bundle"),
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    json: Json = False,
) -> None:
    """Write a sweep's results to a folder.

    Parquet and JSON with checksums, without names of hosts, paths and addresses, for `report --from` and `compare`.
    """
    from harness.results.report import export_sweep
    from harness.tracking.address import resolve

    name, manifest = export_sweep(sweep, out, resolve(tracking_uri))
    if json:
        emit_json({"sweep": name, "bundle": str(manifest.parent)})
    else:
        note(f"Bundle of {name}: {manifest.parent}")


def compare(
    first: Annotated[
        str, typer.Argument(metavar="A", help="What was before: a sweep, or a bundle's folder; repeats as A1,A2,A3.")
    ],
    second: Annotated[
        str, typer.Argument(metavar="B", help="What is now: a sweep, or a bundle's folder; repeats as B1,B2,B3.")
    ],
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    margin: Annotated[
        float, typer.Option(min=0.0, help="Points of error, or per cent of speed, that B may be worse by.")
    ] = 0.0,
    between: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENT",
            help="Allowance for speed: the standard deviation between repeats of a whole sweep, such as 1%. If not "
            "given, it is what repeats show, or 3% without any.",
        ),
    ] = None,
    across: Annotated[
        bool, typer.Option("--across-hardware", help="Also where hardware or software differ; every line says so.")
    ] = False,
    json: Json = False,
) -> None:
    """Say whether B got better or worse than A.

    Final errors and speed, cell by cell: the difference with its interval, or the smallest one that would have been
    seen. Exit code 1 where B is worse than A by more than the margin, or has no value left where A has some.
    """
    from harness.results.report import results_of_side
    from harness.tracking.address import resolve
    from reports.compare.compare import compare as compared
    from reports.compare.text import as_lines, as_record

    uri, between_pct = resolve(tracking_uri), _percent("--between", between)
    sides = results_of_side(first, uri), results_of_side(second, uri)
    found = compared(*sides, margin=margin, between_pct=between_pct, across=across)
    if json:
        emit_json(as_record(found))
    else:
        lines = as_lines(found)
        emit("\n".join([wrap(line, first="", later="      ") for line in lines] if sys.stdout.isatty() else lines))
    raise typer.Exit(ExitCode.FAILED if found.regressions or found.lost else ExitCode.OK)


def _percent(flag: str, text: str | None) -> float | None:
    """Return the number before the percent sign; None if none was given.

    Raises:
        UsageError: the text is not a percentage from 0 to 100.
    """
    if text is None:
        return None
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?%", text)
    if found is None or float(found[1]) > 100:
        raise UsageError(f"{flag} is {text!r}; give a percentage from 0% to 100%, such as 1% or 0.5%")
    return float(found[1])
