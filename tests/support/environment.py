"""The programs that tests start, and their environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Root of the repository."""

KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "RAY_USAGE_STATS_ENABLED": "0"}


def bare_environment(**more: str) -> dict[str, str]:
    """Return the environment of a fresh login, with both libraries' usage reports switched off.

    Nothing else is passed on: a variable of the machine's own Ray or MLflow, or one that an earlier test left behind,
    would change the behaviour of a whole cluster.

    Args:
        more: variables to add or to replace.
    """
    return {**{key: os.environ[key] for key in KEPT if key in os.environ}, **QUIET, **more}


def start_program(module: str, *arguments: object, **more: str) -> subprocess.Popen[str]:
    """Start a Python program of the tests; its output and its errors go into one pipe.

    It runs as a module from the root of the repository, where it finds the packages and what tests share.

    Args:
        module: full name of the module, as in `tests.unit.engine.two_workers`.
        arguments: the program's arguments.
        more: variables to add to this process's environment, or to replace there.
    """
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
