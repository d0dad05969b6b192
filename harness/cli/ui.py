"""`harness ui`: the MLflow UI for a store, and the command that serves it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.errors import UsageError
from harness.tracking.address import page_url, sqlite_path
from harness.tracking.ui_links import EXPERIMENTS


@dataclass(frozen=True, kw_only=True)
class Page:
    """A UI and how to reach it."""

    url: str
    command: tuple[str, ...] = ()
    """Command that serves the UI; empty if a server already does."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Environment of the command. It holds the store's address, which may contain a password, so no argument does."""


def ui_of(tracking_uri: str, port: int) -> Page:
    """Return the UI of a resolved tracking URI: the server's own, or one on loopback over a database.

    Raises:
        UsageError: the database does not exist yet.
    """
    if tracking_uri.startswith(("http://", "https://")):
        return Page(url=page_url(tracking_uri, EXPERIMENTS))
    database = sqlite_path(tracking_uri)
    if database is not None and not database.is_file():
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
        # MLflow's own job runners are eight processes, which a UI over results does not need.
        environment={"MLFLOW_BACKEND_STORE_URI": tracking_uri, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )
