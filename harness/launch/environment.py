"""What the driver runs on and with: versions, host, and the state of the code."""

from __future__ import annotations

import platform
import socket
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import harness
from harness.submit.parcel import shipped_origin

DISTRIBUTIONS = ("resnet-harness", "torch", "torchvision", "ray", "mlflow", "numpy", "pandas", "scikit-learn")


def describe_driver() -> dict[str, Any]:
    """Versions of what decides results, the host, and the commit of the code where it is a git checkout."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "versions": {name: found for name in DISTRIBUTIONS if (found := _version(name))},
        **git_state(Path(harness.__file__).parent),
    }


def git_state(folder: Path) -> dict[str, Any]:
    """`git_commit` and whether tracked files differ from it (`git_dirty`); None for both outside a checkout.

    Of a folder that `harness submit` shipped, what it was at the start of its way.
    """
    if shipped := shipped_origin(folder.parent):
        return shipped
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"git_commit": commit, "git_dirty": None if changes is None else bool(changes)}


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None
