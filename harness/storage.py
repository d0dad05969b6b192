"""The files of a sweep: one class with a property for every path."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StorageError

WEIGHTS_FILE = "weights.checkpoint"
"""Name of the weights file in a trial's folder."""
STEPS_FILE = "steps.csv"
"""Name of the file of steps in a trial's folder; MLflow gets `STEPS_ARTIFACT`, which is made from it."""


_SAFE = re.compile(r"\w(?:[\w .+@=-]{0,198}[\w+@=-])?")
"""Names that are file names as they are."""


def child(folder: Path, name: str) -> Path:
    """Return the path of a name directly below a folder. No other code makes a path of a name.

    Names come from workload files, MLflow and bundles, and thus from strangers. One that is no plain file name (`..`,
    `a/b`, an absolute path, nothing) becomes its harmless characters and a digest of the whole.
    """
    if _SAFE.fullmatch(name):
        return folder / name
    harmless = re.sub(r"[^\w.+-]+", "_", name).strip("._-")[:60]
    return folder / f"{harmless or 'unnamed'}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"


def with_home(path: str) -> str:
    """Return a path with the user's home in place of `~/`, or a named user's in place of `~name/`.

    A shell leaves both in quotes, behind `=` and in variables. A word that only begins with `~` stays as it is.
    """
    return os.path.expanduser(path) if re.match(r"~(?:$|[\w.-]*/)", path) else path  # noqa: PTH111  no path yet


@dataclass(frozen=True)
class SweepFolder:
    """Folder `<storage>/<sweep name>`, on a disk that the driver and all nodes of the cluster see at the same path."""

    root: Path

    @property
    def outbox(self) -> Path:
        """File of every event of the sweep, one JSON line each."""
        return self.root / "outbox.jsonl"

    @property
    def cursor(self) -> Path:
        """File that records how much of the outbox MLflow has."""
        return self.root / "outbox.cursor.json"

    @property
    def lock(self) -> Path:
        """Lock file, which the driver of the sweep holds."""
        return self.root / "driver.lock"

    @property
    def logs(self) -> Path:
        """Folder for the output of Ray and the workers."""
        return self.root / "logs"

    def trial(self, trial_id: str) -> Path:
        """Return the folder of a trial's checkpoints, step times and trace."""
        return child(self.root / "trials", trial_id)

    def weights(self, trial_id: str) -> Path:
        """Return the file of the trial's final weights, if the trial keeps them. They go to no tracking server."""
        return self.trial(trial_id) / WEIGHTS_FILE

    def make(self) -> None:
        """Create the folder and check that it can be written.

        Raises:
            StorageError: the folder cannot be created or written.
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
