"""Where a sweep keeps its files: every path a property of one class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StorageError

WEIGHTS_FILE = "weights.checkpoint"
"""In a trial's folder."""


@dataclass(frozen=True)
class SweepFolder:
    """`<storage>/<sweep name>`, on a disk that the driver and every node of the cluster see at the same path."""

    root: Path

    @property
    def outbox(self) -> Path:
        """Every event of the sweep, one JSON line each."""
        return self.root / "outbox.jsonl"

    @property
    def cursor(self) -> Path:
        """How much of the outbox MLflow has."""
        return self.root / "outbox.cursor.json"

    @property
    def lock(self) -> Path:
        """Held by the driver of the sweep."""
        return self.root / "driver.lock"

    @property
    def logs(self) -> Path:
        """What Ray and the workers print."""
        return self.root / "logs"

    def trial(self, trial_id: str) -> Path:
        """The trial's checkpoints, step times and trace."""
        return self.root / "trials" / trial_id

    def weights(self, trial_id: str) -> Path:
        """The trial's final weights, where it was asked to keep them. They go to no tracking server."""
        return self.trial(trial_id) / WEIGHTS_FILE

    def make(self) -> None:
        """Create the folder and prove that it can be written.

        Raises:
            StorageError: it cannot.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            probe = self.root / f".probe-{os.getpid()}"
            write_atomic(probe, b"probe")
            probe.unlink()
        except OSError as error:
            raise StorageError(
                f"storage folder {self.root} cannot be written: {error.strerror}; "
                "choose another with --storage or mend its permissions"
            ) from error


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: to a temporary file beside it, synced, then renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
