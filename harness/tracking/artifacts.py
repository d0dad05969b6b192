"""Files that become artifacts of MLflow runs."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from harness.events import SweepStarted
from harness.network import without_secrets
from harness.schema import (
    DEVIATIONS_ARTIFACT,
    ENVIRONMENT_ARTIFACT,
    PLAN_ARTIFACT,
    STEPS_ARTIFACT,
    TRIALS_ARTIFACT,
    WORKLOAD_ARTIFACT,
)
from harness.storage import STEPS_FILE
from harness.tracking.tracker import RejectedError


def sweep_files(started: SweepStarted) -> Mapping[str, str]:
    """Return the texts of the parent run's artifacts, by name."""
    deviations = started.plan.get("deviations")
    return {
        WORKLOAD_ARTIFACT: without_secrets(started.workload_text),
        TRIALS_ARTIFACT: _json(
            {"trials": list(started.trials), "reused": dict(started.reused), "description": started.description}
        ),
        PLAN_ARTIFACT: _json(started.plan),
        ENVIRONMENT_ARTIFACT: _json(started.environment),
        **({} if deviations is None else {DEVIATIONS_ARTIFACT: _json(deviations)}),
    }


@contextmanager
def written(files: Mapping[str, str]) -> Iterator[list[Path]]:
    """Write the texts to temporary files, which exist while the context lasts."""
    with tempfile.TemporaryDirectory(prefix="harness-") as folder:
        paths = [Path(folder, name) for name in files]
        for path, text in zip(paths, files.values(), strict=True):
            path.write_text(text, encoding="utf-8")
        yield paths


@contextmanager
def trial_file(folder: Path, name: str) -> Iterator[tuple[Path, str | None]]:
    """Yield the file to log for `name` below a trial's folder, and the artifact folder it goes to.

    Raises:
        RejectedError: the file is missing, lies outside the folder, or cannot be read.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise RejectedError(f"artifact {name!r} lies outside of its trial's folder")
    file = folder / path
    if not file.is_file():
        raise RejectedError(f"artifact {file} is not there")
    if not file.resolve().is_relative_to(folder.resolve()):
        raise RejectedError(f"artifact {file} is a link out of its trial's folder")
    target = None if str(path.parent) == "." else str(path.parent)
    if path.name != STEPS_FILE:
        yield file, target
        return
    with tempfile.TemporaryDirectory(prefix="harness-") as temporary:
        parquet = Path(temporary, STEPS_ARTIFACT)
        _to_parquet(file, parquet)
        yield parquet, target


def _to_parquet(csv: Path, parquet: Path) -> None:
    import pandas as pd

    try:
        pd.read_csv(csv).to_parquet(parquet, index=False)
    except (ValueError, UnicodeError) as error:  # pandas' parser errors are ValueErrors
        raise RejectedError(f"artifact {csv} is no table: {error}") from error


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
