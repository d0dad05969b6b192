"""The driver's machine and software, in the form that the sweep's run records."""

from __future__ import annotations

import platform
import socket
from pathlib import Path
from typing import Any

import harness
from harness.package import git_state, version_of

DISTRIBUTIONS = ("resnet-harness", "torch", "torchvision", "ray", "mlflow", "numpy", "pandas", "scikit-learn")


def describe_driver() -> dict[str, Any]:
    """Return the versions that can affect results, the host, and the commit if the code is a git checkout."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "versions": {name: found for name in DISTRIBUTIONS if (found := version_of(name))},
        **git_state(Path(harness.__file__).parent),
    }
