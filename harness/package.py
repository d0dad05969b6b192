"""Our distribution: its packages, the digest of its code, and the commit that it came from."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("harness", "models", "reports", "workloads")
DISTRIBUTION = "resnet-harness"
ORIGIN = "shipped.json"
"""Name of the file beside packages that `harness submit` shipped; it records the commit that they came from."""


def version_of(distribution: str) -> str | None:
    """Return the installed version of a distribution; None if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def code_files() -> dict[str, Path]:
    """Return all files of our packages: name in the code archive -> file."""
    return {f"{package}/{name}": path for package in PACKAGES for name, path in _files(_folder(package))}


def code_digest() -> str:
    """Return 64 hexadecimal digits that identify the code, independent of its version."""
    digest = hashlib.sha256()
    for name, path in code_files().items():
        digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def git_state(folder: Path) -> dict[str, Any]:
    """Return `git_commit`, and `git_dirty`: whether tracked files differ from it. Both are None outside a checkout.

    A folder that `harness submit` shipped has the state of the checkout that it was shipped from.
    """
    if shipped := shipped_origin(folder.parent):
        return shipped
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"git_commit": commit, "git_dirty": None if changes is None else bool(changes)}


def shipped_origin(folder: Path) -> dict[str, Any]:
    """Return the recorded origin of packages in a folder; empty if they were not shipped."""
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


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
