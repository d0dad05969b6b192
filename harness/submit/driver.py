"""The entrypoint of a job on the head node: it unpacks the payload, then replaces itself by `harness run`.

Ray shows the entrypoint and the whole runtime environment of a job, `env_vars` included, to everybody who may list
jobs, and writes them to log files that every account of the node can read. So the address of the tracking server and
its credentials travel in a package of their own, as a file that only Ray's account can read. This module reads the
file, deletes it, removes the package from what Ray passes on to the workers, and replaces itself by the run.

Only the standard library is imported, so that our own message appears if the cluster lacks something.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PAYLOAD = "harness_job"
"""Name of the package that carries a job's workload and environment to the driver alone."""
ENVIRONMENT = "environment.json"
JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"
"""The environment variable in which Ray gives a job's driver the settings of the job's workers."""
NEEDED = ("ray", "mlflow", "torch", "typer")


def write_payload(folder: Path, *, submission_id: str, workload: str, environment: Mapping[str, str]) -> Path:
    """Make the package: the workload's text, and the environment in a file that only its owner can read.

    Args:
        folder: the folder to make it in.
        submission_id: makes the package unique to this submission, so that Ray's cache has no other in its place.
        workload: text of the workload file.
        environment: variables of the driver.
    """
    payload = folder / PAYLOAD
    payload.mkdir(mode=0o700)
    (payload / "submission_id").write_text(submission_id)
    (payload / "workload.yaml").write_text(workload, encoding="utf-8")
    secret = payload / ENVIRONMENT
    secret.touch(mode=0o600)
    secret.write_text(json.dumps(dict(environment)))
    return payload


def open_payload(payload: Path) -> dict[str, str]:
    """Return the environment that was sent, and delete its file."""
    path = payload / ENVIRONMENT
    environment: dict[str, str] = json.loads(path.read_text())
    path.unlink()
    return environment


def keep_from_workers(environment: MutableMapping[str, str]) -> None:
    """Remove the payload from what Ray unpacks on every node. It is the job's only entry of `py_modules`."""
    config: dict[str, Any] = json.loads(environment.get(JOB_CONFIG, "{}"))
    if config.get("runtime_env", {}).pop("py_modules", None) is not None:
        environment[JOB_CONFIG] = json.dumps(config)


def main(arguments: Sequence[str]) -> None:
    """Replace this process by `python -m harness ARGUMENTS WORKLOAD`, in the storage folder."""
    payload = _find_payload()
    sent = open_payload(payload)  # first, so that the secrets are off the disk even if the rest fails
    _check_python()
    environment = {**os.environ, **sent, "PYTHONSAFEPATH": "1"}  # imports nothing from the storage folder
    keep_from_workers(environment)
    _enter(Path(arguments[arguments.index("--storage") + 1]))
    command = [sys.executable, "-m", "harness", *arguments, str(payload / "workload.yaml")]
    os.execve(sys.executable, command, environment)  # noqa: S606  our own list


def _find_payload() -> Path:
    spec = find_spec(PAYLOAD)
    if spec is None or not spec.submodule_search_locations:
        sys.exit("error: this is the entrypoint of a job that `harness submit` makes; it found no payload beside it")
    return Path(next(iter(spec.submodule_search_locations)))


def _check_python() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036  the cluster's Python may be any
        sys.exit(f"error: Python 3.11 or newer is needed on the cluster; {sys.executable} is {sys.version.split()[0]}")
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        sys.exit(
            f"error: {sys.executable} on the cluster lacks {', '.join(missing)}: submit with --pip, name another "
            "interpreter with --python, or install them in the cluster's image"
        )


def _enter(storage: Path) -> None:
    """Change to the storage folder. Relative paths in the workload start at this folder, which every node sees."""
    try:
        storage.mkdir(parents=True, exist_ok=True)
        os.chdir(storage)
    except OSError as error:
        sys.exit(f"error: storage folder {storage} on the cluster's head node: {error.strerror}; check --storage")


if __name__ == "__main__":
    main(sys.argv[1:])
