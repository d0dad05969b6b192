"""What travels with a job: our own packages as they are installed here, whatever lies in the current folder."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import HarnessError

PACKAGES = ("harness", "models", "reports", "workloads")
DISTRIBUTION = "resnet-harness"
ORIGIN = "shipped.json"
"""Beside the packages: the commit that they came from."""
MAX_BYTES = 50 * 2**20
"""Ray takes packages of 100 MB and answers a bare error 500 above; ours are well under one."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""Of every file, so that the same code gives the same bytes, which Ray need not be sent twice."""


def code_files() -> dict[str, Path]:
    """Name in the archive -> file, of all that our packages consist of."""
    return {f"{package}/{name}": path for package in PACKAGES for name, path in _files(_folder(package))}


def code_digest() -> str:
    """64 hexadecimal digits: which code this is, whatever version it calls itself."""
    digest = hashlib.sha256()
    for name, path in code_files().items():
        digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def write_code(archive: Path, origin: Mapping[str, Any]) -> None:
    """Write the packages to a zip file: the same bytes for the same code, from whichever folder.

    Args:
        archive: to write.
        origin: what to record of where the code came from.

    Raises:
        HarnessError: something large lies among the packages.
    """
    content = {name: path.read_bytes() for name, path in code_files().items()}
    content[ORIGIN] = json.dumps(dict(origin), sort_keys=True).encode()
    content.update(_distribution_metadata())
    if (size := sum(map(len, content.values()))) > MAX_BYTES:
        largest = max(content, key=lambda name: len(content[name]))
        raise HarnessError(
            f"the packages to ship are {size / 2**20:.0f} MiB, at most {MAX_BYTES >> 20} are allowed; "
            f"the largest file is {largest}: it does not belong there"
        )
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(content):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.external_attr = 0o644 << 16
            file.writestr(entry, content[name], zipfile.ZIP_DEFLATED)


def shipped_origin(folder: Path) -> dict[str, Any]:
    """What `write_code` recorded beside the packages in a folder; nothing where they were not shipped."""
    try:
        found = json.loads((folder / ORIGIN).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None, package
    assert spec.origin is not None, package
    return Path(spec.origin).parent


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part == "__pycache__" or part.startswith(".") for part in name.parts):
            yield name.as_posix(), path


def _distribution_metadata() -> dict[str, bytes]:
    """So that the code knows its version where it is not installed."""
    try:
        found = metadata.distribution(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return {}
    text = found.read_text("METADATA") or found.read_text("PKG-INFO") or ""
    return {f"{DISTRIBUTION.replace('-', '_')}-{found.version}.dist-info/METADATA": text.encode()} if text else {}
