"""The environment of the processes that tests start."""

from __future__ import annotations

import os

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
