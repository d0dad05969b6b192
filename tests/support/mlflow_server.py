"""An MLflow server on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.support.environment import bare_environment
from tests.support.processes import free_port
from tests.support.waiting import answers, wait_until


class MlflowServer:
    """`mlflow server` on loopback, with a SQLite store and proxied artifacts; its whole process group is killed.

    Args:
        database: the store's file. The artifacts and the server's log lie beside it.
    """

    def __init__(self, database: Path) -> None:
        self.database = database
        self.folder = database.parent
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server, and return when it answers. After `kill` it is started on the same port and store."""
        command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--backend-store-uri", f"sqlite:///{self.database}", "--workers", "1"),
            *("--artifacts-destination", str(self.folder / "artifacts")),
        ]
        # Its job runners cost a core and outlive the server.
        environment = bare_environment(MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false")
        with (self.folder / "mlflow.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self._process = process

        def answered() -> bool:
            assert process.poll() is None, "the server ended before it answered"
            return answers(f"{self.uri}/health")

        wait_until(answered, "MLflow's server")

    def kill(self) -> None:
        """Kill the server and all its processes, unless that is done already."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
