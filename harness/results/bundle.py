"""A sweep's results as a folder of files, which `harness export` writes and which a report can read without a server.

manifest.json    the layout's version, and each other file's SHA-256 and size
sweep.json       the sweep: name, status, workload file, plan, environment
trials.parquet   one row per trial, as `SweepResults.trials`
curves.parquet   every series, as `SweepResults.curves`
activity.parquet activity of devices over time, as `SweepResults.activity`; since version 2
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import StorageError, UsageError
from harness.results.anonymize import scrubbed
from harness.schema import current_key

if TYPE_CHECKING:
    import pandas as pd

    from harness.tracking.results import SweepResults

VERSION = 2
"""Version of the layout. Older ones can be read too: version 1 has no activity of devices."""
KIND = "resnet-harness bundle"
MANIFEST, SWEEP = "manifest.json", "sweep.json"
FRAMES = {"trials": "trials.parquet", "curves": "curves.parquet", "activity": "activity.parquet"}
_SINCE = {"trials": 1, "curves": 1, "activity": 2}
"""Frame -> the first version that contains it."""
SAMPLE = Path(__file__).parent / "sample_bundle"
"""Bundle that ships with the package: a run of the digits workload on a laptop's processor."""


class BundleError(UsageError):
    """A folder that is not a bundle, or is a damaged one."""


def write_bundle(results: SweepResults, folder: Path) -> Path:
    """Write a sweep's results into a folder, without names of hosts, paths and addresses; return the manifest's path.

    Files of an earlier bundle of the same sweep are replaced, the manifest last, so that a partly written bundle is not
    accepted as a bundle.

    Raises:
        StorageError: the folder cannot be written.
        BundleError: the folder holds another sweep's bundle.
    """
    if (existing := _sweep_in(folder)) not in (None, results.name):
        raise BundleError(f"{folder} holds the bundle of {existing}; name another folder with --out, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=folder) as staging:
            _write(scrubbed(results), Path(staging))
            for name in (SWEEP, *FRAMES.values(), MANIFEST):
                Path(staging, name).replace(folder / name)
    except OSError as error:
        raise StorageError(
            f"the bundle cannot be written to {folder}: {error.strerror or error}. Name a folder that can be written"
        ) from error
    return folder / MANIFEST


def read_bundle(folder: Path) -> SweepResults:
    """Return the results in a bundle.

    Raises:
        BundleError: the folder is not a bundle, is of another version, or was changed after it was written.
    """
    from harness.tracking import activity
    from harness.tracking.results import SweepResults

    manifest = _manifest(folder)
    contents = {name: _checked(folder / name, file) for name, file in manifest["files"].items()}
    encoded: Mapping[str, list[str]] = manifest["json_columns"]
    here = _frames_of(manifest["version"])
    frames: dict[str, Any] = {name: _frame(contents[file], encoded[name]) for name, file in here.items()}
    renamed = {"trials": _trials(frames["trials"]), "curves": _curves(frames["curves"])}
    return SweepResults(**json.loads(contents[SWEEP]), **{"activity": activity.empty(), **frames, **renamed})


def _trials(trials: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with their metrics under current keys."""
    return trials.rename(columns=current_key)


def _curves(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the series under current keys, ordered by trial, key and epoch, as `SweepResults.curves` is."""
    keys = curves["key"].map(current_key)
    if keys.equals(curves["key"]):
        return curves
    place = {trial_id: index for index, trial_id in enumerate(curves["trial_id"].unique())}
    renamed = curves.assign(key=keys, place=curves["trial_id"].map(place))
    return renamed.sort_values(["place", "key", "epoch"], ignore_index=True).drop(columns="place")


def _sweep_in(folder: Path) -> str | None:
    """Return the sweep of the bundle in a folder, None if the folder holds no readable bundle."""
    if not (folder / MANIFEST).exists():
        return None
    try:
        return str(json.loads((folder / SWEEP).read_text(encoding="utf-8"))["name"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _frames_of(version: int) -> dict[str, str]:
    return {name: file for name, file in FRAMES.items() if _SINCE[name] <= version}


def _write(results: SweepResults, folder: Path) -> None:
    frames = {name: getattr(results, name) for name in FRAMES}
    facts = {
        field.name: getattr(results, field.name) for field in dataclasses.fields(results) if field.name not in FRAMES
    }
    (folder / SWEEP).write_text(_json(facts), encoding="utf-8")
    encoded = {name: _to_parquet(frame, folder / FRAMES[name]) for name, frame in frames.items()}
    described = {name: _describe((folder / name).read_bytes()) for name in (SWEEP, *FRAMES.values())}
    manifest = {"kind": KIND, "version": VERSION, "files": described, "json_columns": encoded}
    (folder / MANIFEST).write_text(_json(manifest), encoding="utf-8")


def _to_parquet(frame: pd.DataFrame, path: Path) -> list[str]:
    """Write a frame; return the names of the columns whose values are of several kinds, which are written as JSON."""
    import pandas as pd

    mixed = [name for name in frame.columns if pd.api.types.infer_dtype(frame[name], skipna=True).startswith("mixed")]
    frame.assign(**{name: frame[name].map(json.dumps) for name in mixed}).to_parquet(path, index=False)
    return [str(name) for name in mixed]


def _frame(content: bytes, encoded: list[str]) -> pd.DataFrame:
    import io

    import pandas as pd

    frame = pd.read_parquet(io.BytesIO(content))
    return frame.assign(**{name: pd.Series(map(json.loads, frame[name]), dtype=object) for name in encoded})


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            f"{folder} is no bundle: {folder if not folder.is_dir() else MANIFEST}: {error.strerror or error}; "
            "`harness export SWEEP --out FOLDER` makes one"
        ) from error
    except ValueError as error:
        raise BundleError(f"bundle {folder} is damaged: its {MANIFEST} is no JSON; copy the bundle again") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise BundleError(f"{folder} is no bundle: its {MANIFEST} is of something else")
    version = manifest.get("version")
    if version not in range(1, VERSION + 1):
        raise BundleError(
            f"bundle {folder} has version {version!r}, this harness reads versions 1 to {VERSION}; "
            "export the sweep again with this version"
        )
    frames = _frames_of(manifest["version"])
    if set(manifest.get("files", ())) != {SWEEP, *frames.values()} or {*manifest.get("json_columns", ())} != {*frames}:
        raise BundleError(f"bundle {folder} is damaged: its {MANIFEST} does not name the files of version {version}")
    return manifest


def _checked(file: Path, described: Mapping[str, Any]) -> bytes:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise BundleError(f"bundle {file.parent} is not whole: {file.name}: {error.strerror or error}") from error
    if _describe(content) != described:
        raise BundleError(
            f"bundle {file.parent} is damaged: {file.name} and its SHA-256 in {MANIFEST} do not agree; "
            "copy the bundle again"
        )
    return content


def _describe(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
