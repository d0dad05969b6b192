"""One submission as values: the settings of the job's driver, and the id that follows from them."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from harness.errors import UsageError
from harness.tracking import address
from harness.workload.load import Workload

PREFIX = "harness-"
"""Beginning of the ids of our jobs, which distinguishes them from the jobs of others."""

TRACKING_VARIABLES = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_INSECURE_TLS",
)
"""Variables sent with the tracking address by default. Other secrets (AWS_*) give access to more than MLflow."""

_ATTEMPT = re.compile(r"(?P<base>.+-[0-9a-f]{12})(?:-(?P<attempt>[2-9]|[1-9][0-9]+))?")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The request to `harness submit`."""

    workload: Workload
    storage: PurePosixPath
    """A folder of the cluster."""
    experiment: str
    environment: Mapping[str, str] = field(repr=False)
    """The driver's variables: tracking address and credentials. They travel apart, see `harness.submit.driver`."""
    arguments: tuple[str, ...] = ()
    """Further arguments of `harness run`."""
    fresh: bool = False
    pip: tuple[str, ...] = ()
    """Pinned requirements to install on the cluster. Empty: use the packages of its image."""
    python: str = "python"
    """The interpreter on the cluster's head node."""

    def base_id(self, code_digest: str) -> str:
        """Return `harness-NAME-DIGEST`: the same for the same workload with the same settings and the same code."""
        identity = [
            self.workload.text,
            code_digest,
            self.run_arguments,
            self.environment.get("MLFLOW_TRACKING_URI", ""),
            self.pip,
            self.python,
            uuid.uuid4().hex if self.fresh else "",
        ]
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:12]
        return f"{PREFIX}{self.workload.name[:80]}-{digest}"

    @property
    def run_arguments(self) -> tuple[str, ...]:
        """Arguments of `harness run` on the cluster, without the workload's path."""
        storage = str(self.storage)
        return (
            *("--address", "auto", "--storage", storage, "--out", f"{storage}/reports"),
            *("--experiment", self.experiment, *(["--fresh"] if self.fresh else []), *self.arguments),
        )


def attempt_id(base: str, attempt: int) -> str:
    """Return the id of an attempt. The first has the bare base id; the others are numbered."""
    return base if attempt == 1 else f"{base}-{attempt}"


def attempt_of(submission_id: str) -> tuple[str, int]:
    """Return the base id and the number of the attempt."""
    match = _ATTEMPT.fullmatch(submission_id)
    return (match["base"], int(match["attempt"] or 1)) if match else (submission_id, 1)


def last_attempt(base: str, submission_ids: Iterable[str]) -> int:
    """Return the number of the last attempt among some ids, 0 if there is none."""
    return max((attempt for found, attempt in map(attempt_of, submission_ids) if found == base), default=0)


def check_storage(storage: str) -> PurePosixPath:
    """Return a storage folder as a path on the cluster's nodes.

    Raises:
        UsageError: the path is relative.
    """
    path = PurePosixPath(storage)
    if not path.is_absolute() or ".." in path.parts:
        raise UsageError(
            f"--storage is {storage!r}; on a cluster it must be an absolute path at which every node sees the same "
            "folder, such as a mount of NFS or Lustre: /shared/runs"
        )
    return path


def driver_environment(tracking_uri: str | None, passed: Iterable[str], here: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of this environment that the job's driver gets.

    Args:
        tracking_uri: the flag, or MLFLOW_TRACKING_URI.
        passed: names of further variables.
        here: this process's environment.

    Raises:
        UsageError: a cluster cannot use the tracking URI, or a variable is not set.
    """
    environment = {name: here[name] for name in TRACKING_VARIABLES if here.get(name)}
    for name in passed:
        if name not in here:
            raise UsageError(f"--pass-env names {name}, which is not set here; export it first")
        environment[name] = here[name]
    return {**environment, "MLFLOW_TRACKING_URI": _check_tracking(tracking_uri)}


def _check_tracking(tracking_uri: str | None) -> str:
    if not tracking_uri:
        raise UsageError(
            "a cluster needs a tracking server that its head node reaches; name it with --tracking-uri or "
            "MLFLOW_TRACKING_URI, as in http://mlflow.example:5000"
        )
    uri = address.resolve(tracking_uri)
    if uri.startswith("sqlite:") and not tracking_uri.startswith("sqlite:////"):
        raise UsageError(
            f"tracking URI {address.display(tracking_uri)!r} is a file of this machine; give a server, or with four "
            "slashes the absolute path of a file on the cluster's head node"
        )
    return uri
