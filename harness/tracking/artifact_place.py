"""The folder in which MLflow keeps a run's files, as its database names it: by a path that may be out of date."""

from __future__ import annotations

import contextlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.tracking.address import sqlite_path


def misplaced(location: str, tracking_uri: str) -> str | None:
    """Return why files must not be written to an experiment's artifact location; None if they may be.

    MLflow keeps absolute paths, and makes their folders anew. In a project that was moved, or copied with its database,
    they lead to where it was, or into the original.

    Args:
        location: the location of an experiment: a path, or an address.
        tracking_uri: the resolved URI of the store that names it.
    """
    folder, database = _local(location), sqlite_path(tracking_uri)
    beside = [] if database is None else [database.parent, Path.cwd()]
    if folder is None or any(_is_below(folder, known) for known in beside):
        return None
    project = folder.parent.parent  # MLflow makes the folder `mlruns`, and in it one for each experiment
    moved_to = next((twin for known in beside if _exists(twin := known / folder.relative_to(project))), None)
    if not _exists(folder) and (moved_to or not _exists(project)):
        if tracking_uri.startswith("http"):
            return (
                f"{folder} is not there: the server names a folder of its own machine. Mount it here, or start the "
                "server with --artifacts-destination, so that files go through it"
            )
        new = str(moved_to.parent) if moved_to else f"NEW/{folder.parent.name}"
        return (
            f"{folder} is not there. If the project was moved, move it back, or make a link from there to its new "
            f"place: mkdir -p {project} && ln -s {new} {folder.parent}"
        )
    if (
        database is None
        or not _exists(original := project / database.relative_to(database.parent))
        or original.samefile(database)
    ):
        return None
    return (
        f"{folder} belongs to {original}, of which {database} is a copy. Choose another experiment with --experiment, "
        "or the original with --tracking-uri"
    )


def location_of_run(artifact_uri: str, run_id: str) -> str:
    """Return the location of a run's experiment."""
    return artifact_uri.removesuffix("/artifacts").removesuffix(f"/{run_id}")


def _local(location: str) -> Path | None:
    parts = urlsplit(location)
    return Path(unquote(parts.path) if parts.scheme else location) if parts.scheme in ("", "file") else None


def _is_below(folder: Path, place: Path) -> bool:
    return folder.resolve().is_relative_to(place.resolve())


def _exists(path: Path) -> bool:
    """Whether this user can see the path."""
    with contextlib.suppress(OSError):
        return path.exists()
    return False
