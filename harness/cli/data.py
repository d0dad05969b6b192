"""`harness data`: check which files of a data set are here, report faults, and download the files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.output import emit, emit_json, note, wrap
from harness.errors import HarnessError, StorageError, Unreachable, UsageError

if TYPE_CHECKING:
    from workloads.datasets.files import FileCheck
    from workloads.datasets.spec import DatasetSpec

data = typer.Typer(
    name="data", help="Check and fetch the files of data sets.", no_args_is_help=True, rich_markup_mode=None
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `list datasets` shows it.")]
Root = Annotated[str | None, typer.Option(help="Folder or fsspec URL; the data set's own default if not given.")]


@data.command()
def check(
    name: Name,
    root: Root = None,
    subset: Annotated[str | None, typer.Option(help="For imagenet: the tree's name, if it is not all of it.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Say which files are here and what is wrong.

    And where they come from. Exit code 1 where something is missing or wrong.
    """
    spec = _spec(name, root=root, subset=subset)
    checks = list(spec.check())
    if json:
        files = [{"place": check.location, "fault": check.fault} for check in checks]
        emit_json({"dataset": name, "origin": spec.origin, "files": files})
    else:
        emit(_as_text(name, spec, checks))
    if any(check.fault for check in checks):
        raise typer.Exit(1)


@data.command()
def fetch(name: Name, root: Root = None) -> None:
    """Download the official files.

    Each is put in place only when it is whole and its digest fits; what is here already stays.
    """
    spec = _spec(name, root=root)
    if not spec.remotes():
        raise UsageError(f"{name} cannot be downloaded; it comes from: {spec.origin}")
    folder: str = spec.root  # type: ignore[attr-defined]  # a data set that can be downloaded has a folder for it
    if "://" in folder:
        raise UsageError(f"--root is {folder}; give a folder of this machine")
    for remote in spec.remotes():
        _fetch(remote, Path(folder))


def _fetch(remote: Any, folder: Path) -> None:
    from workloads.datasets import fetch as fetching

    try:
        if fetching.is_here(remote, folder):
            note(f"{folder / remote.file.name} is here already")
            return
        note(f"fetching {remote.url}")
        emit(str(fetching.fetch(remote, folder)))
    except ConnectionError as error:
        raise Unreachable(str(error)) from error
    except ValueError as error:
        raise HarnessError(str(error)) from error
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error}") from error


def _spec(name: str, **settings: str | None) -> DatasetSpec:
    from harness.workload.source import suggest
    from workloads.datasets import DATASETS

    if name not in DATASETS:
        raise UsageError(f"unknown data set {name!r}{suggest(name, list(DATASETS))}")
    kind = DATASETS[name]
    given = {key: value for key, value in settings.items() if value is not None}
    for key in given.keys() - {field.name for field in dataclasses.fields(kind)}:
        raise UsageError(f"{name} has no option --{key}")
    return kind(**given)


def _as_text(name: str, spec: DatasetSpec, checks: list[FileCheck]) -> str:
    lines = [": ".join(filter(None, (location, fault or "in order"))) for location, fault in checks]
    origin = wrap(f"from: {spec.origin}", first="", later="    ")
    return "\n".join([*(lines or [f"{name} needs no files"]), origin])
