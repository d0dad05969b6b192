"""The driver's machine and software, as the sweep's run records them."""

from __future__ import annotations

import platform
import socket
from pathlib import Path
from typing import Any

import harness
from harness.package import git_state, version_of

DISTRIBUTIONS = ("resnet-harness", "torch", "torchvision", "ray", "mlflow", "numpy", "pandas", "scikit-learn")


def describe_driver() -> dict[str, Any]:
    """Versions of what decides results, the host, and the commit of the code where it is a git checkout."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "versions": {name: found for name in DISTRIBUTIONS if (found := version_of(name))},
        **git_state(Path(harness.__file__).parent),
    }
