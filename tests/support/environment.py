"""The environment of the processes that tests start."""

from __future__ import annotations

import os

KEPT = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "RAY_USAGE_STATS_ENABLED": "0"}


def bare_environment(**more: str) -> dict[str, str]:
    """What a login gives, and neither library reports home.

    Nothing else is handed on: a variable of the machine's own Ray or MLflow, or one that a test before left behind,
    would change what a whole cluster does.

    Args:
        more: variables beside it, or instead.
    """
    return {**{key: os.environ[key] for key in KEPT if key in os.environ}, **QUIET, **more}
