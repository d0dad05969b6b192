"""`harness ui`: which MLflow UI shows a store, and the command that serves it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.errors import UsageError
from harness.tracking.address import sqlite_path
from harness.tracking.ui_links import EXPERIMENTS


@dataclass(frozen=True, kw_only=True)
class Page:
    """A UI."""

    url: str
    command: tuple[str, ...] = ()
    """What serves it; empty where a server already does."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """For the command. The store's address is here and not an argument, because it may hold a password."""


def ui_of(tracking_uri: str, port: int) -> Page:
    """The UI of a resolved tracking URI: a server's own, or one on loopback over a database.

    Raises:
        UsageError: there is no such database yet.
    """
    if tracking_uri.startswith(("http://", "https://")):
        return Page(url=f"{tracking_uri.rstrip('/')}/{EXPERIMENTS}")
    database = sqlite_path(tracking_uri)
    if database is not None and not database.exists():
        raise UsageError(f"there is no database {database}; `harness run FILE` makes one, --tracking-uri names another")
    return Page(
        url=f"http://127.0.0.1:{port}/{EXPERIMENTS}",
        command=(
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--workers",
            "1",
        ),
        # MLflow's own job runners are eight processes that a UI over results has no use for.
        environment={"MLFLOW_BACKEND_STORE_URI": tracking_uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )
