"""Ray's Jobs API, over HTTP. Each of its refusals becomes one line that says what to do."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

import ray
import requests
from packaging.requirements import Requirement
from packaging.version import Version
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobSubmissionClient

from harness.cluster.ray_internals import PRIVATE_NAMES
from harness.errors import ClusterUnreachable, HarnessError, UsageError
from harness.network import CONNECT_TIMEOUT_S, connection_fault
from harness.package import DISTRIBUTION
from harness.submit.jobs import AlreadySubmitted, Job, JobGone, JobSpec, State
from harness.submit.submission import PREFIX

ANSWER_TIMEOUT_S = 60.0
"""Seconds to wait for the answer to one request. Ray itself waits up to 20 s for the agent that starts jobs."""
DASHBOARD_PORT = 8265
STOP_WAIT_S = 30
"""Seconds that a stopped driver has to close its runs before Ray kills it (Ray's default is 3). Ours takes up to 10."""
_OVERRIDES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Variables that Ray prefers to the address that it is given. Here the flag counts."""


class RayJobs:
    """The jobs of the cluster at an address, as `harness.submit.jobs.Jobs`.

    Args:
        address: of the dashboard (http://head:8265), or an address of a cluster within reach that `ray.init` accepts
            (host:6379, auto).

    Raises:
        ClusterUnreachable: no Ray answers there, or it refuses the connection.
        UsageError: the text is not an address.
    """

    def __init__(self, address: str) -> None:
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        for name in ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.address = _dashboard(address)
        with _explained(self.address), _without(_OVERRIDES):
            self._client = _Client(self.address)
            _check_version(self.address, self._client.ray_version())

    @property
    def ray_version(self) -> str:
        """Version of the cluster's Ray."""
        return self._client.ray_version()

    def submit(self, spec: JobSpec) -> None:
        """Start a job.

        Raises:
            AlreadySubmitted: a job of that id exists.
        """
        runtime_env: dict[str, Any] = {
            "working_dir": str(spec.code),
            "py_modules": [str(spec.payload)],
            "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_WAIT_S)},
        }
        if spec.pip:
            runtime_env["pip"] = {"packages": list(spec.pip), "pip_check": False}
        try:
            with _explained(self.address):
                self._client.submit_job(entrypoint=spec.entrypoint, submission_id=spec.id, runtime_env=runtime_env)
        except HarnessError as error:
            if "already exists" in str(error):
                raise AlreadySubmitted(f"{spec.id} is submitted already") from error
            raise

    def all(self) -> Sequence[Job]:
        """Return every job of ours, the newest first."""
        with _explained(self.address):
            found = self._client.list_jobs()
        ours = [_job(details) for details in found if (details.submission_id or "").startswith(PREFIX)]
        return sorted(ours, key=lambda job: -(job.started_ms or 0))

    def job(self, job_id: str) -> Job:
        """Return one job.

        Raises:
            JobGone: no job has that id.
        """
        with _explained(self.address, job_id):
            return _job(self._client.get_job_info(job_id))

    def log(self, job_id: str) -> str:
        """Return the whole log of the job's driver so far."""
        with _explained(self.address, job_id):
            return str(self._client.get_job_logs(job_id))

    def stop(self, job_id: str) -> None:
        """Ask a job to end; its driver gets SIGTERM."""
        with _explained(self.address, job_id):
            self._client.stop_job(job_id)


class _Client(JobSubmissionClient):
    """Ray's client, with a time limit for each answer. Ray sets none."""

    def _do_request(self, method: str, endpoint: str, **settings: Any) -> requests.Response:
        settings.setdefault("timeout", (CONNECT_TIMEOUT_S, ANSWER_TIMEOUT_S))
        response: requests.Response = super()._do_request(method, endpoint, **settings)
        return response

    def ray_version(self) -> str:
        """Return the version of the cluster's Ray."""
        return str(self._do_request("GET", "/api/version").json()["ray_version"])


@contextlib.contextmanager
def _without(names: Sequence[str]) -> Iterator[None]:
    """Remove these environment variables until the end of the block."""
    kept = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


@contextlib.contextmanager
def _explained(address: str, job_id: str = "") -> Iterator[None]:
    """Turn every error of Ray's client or its HTTP library into one of ours, with a one-line message."""
    try:
        yield
    except AuthenticationError as error:
        raise ClusterUnreachable(_refusal(address, str(error))) from error
    except (requests.Timeout, TimeoutError) as error:
        raise ClusterUnreachable(
            f"{address} takes connections but does not answer; is it Ray's dashboard (port {DASHBOARD_PORT})?"
        ) from error
    except (ConnectionError, requests.ConnectionError) as error:
        raise ClusterUnreachable(_nobody(address, "the connection failed")) from error
    except (ValueError, KeyError, requests.RequestException) as error:
        raise ClusterUnreachable(_no_ray(address)) from error
    except RuntimeError as error:
        raise _of_ray(address, str(error), job_id) from error


def _of_ray(address: str, said: str, job_id: str) -> HarnessError:
    """Return our error for an answer other than 200. Ray's client raises the same error for all of them."""
    if job_id and ("status code 404" in said or "does not exist" in said):
        return JobGone(
            f"the cluster at {address} knows no job {job_id}; `harness list jobs` shows those it knows. A head node "
            "that was restarted knows none of before: submit again to go on"
        )
    if "Version check returned 404" in said:
        return ClusterUnreachable(_no_ray(address))
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return ClusterUnreachable(f"Ray at {address} refused: {lines[-1] if lines else 'without a word'}")


def _refusal(address: str, said: str) -> str:
    if "required" in said:
        return (
            f"the cluster at {address} wants its token (401): set RAY_AUTH_MODE=token, and give the token in "
            "RAY_AUTH_TOKEN or in the file that RAY_AUTH_TOKEN_PATH names (else ~/.ray/auth_token)"
        )
    return (
        f"the cluster at {address} refuses the token (403): it is another cluster's, or an old one; give the one of "
        "this cluster in RAY_AUTH_TOKEN or in the file that RAY_AUTH_TOKEN_PATH names (else ~/.ray/auth_token)"
    )


def _nobody(address: str, why: str) -> str:
    return (
        f"nothing answers at {address} ({why}); check --address: it is Ray's dashboard, as in http://head:"
        f"{DASHBOARD_PORT}, which `ray start --head` opens to other machines only with --dashboard-host"
    )


def _no_ray(address: str) -> str:
    return f"what answers at {address} is not Ray's dashboard; check host and port, as in http://head:{DASHBOARD_PORT}"


def _check_version(address: str, found: str) -> None:
    """Refuse a Ray that our requirements exclude: the driver runs with the cluster's Ray."""
    needed = next(
        requirement.specifier
        for requirement in map(Requirement, metadata.requires(DISTRIBUTION) or [])
        if requirement.name == "ray"
    )
    if not needed.contains(Version(found), prereleases=True):
        raise ClusterUnreachable(
            f"the cluster at {address} runs Ray {found}; ray{needed} is needed there (here it is {ray.__version__}): "
            "install such a version on the cluster"
        )


def _dashboard(address: str) -> str:
    """Return the dashboard's URL. A bare host:port may be the dashboard's or that of Ray's control store."""
    if address.startswith(("http://", "https://")):
        _check_reachable(address)
        return address.rstrip("/")
    if address != "auto":
        _check_reachable(f"http://{address}")
        if _speaks_http(address):
            return f"http://{address}"
    return _ask_ray(address)


def _check_reachable(url: str) -> None:
    """Refuse an address where nothing listens, within seconds. Ray's client would try for minutes."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        host, port = None, 0
    if not host:
        raise UsageError(f"--address {url!r} is no address; give Ray's dashboard, as in http://head:{DASHBOARD_PORT}")
    if (fault := connection_fault(host, port)) is not None:
        raise ClusterUnreachable(_nobody(url, fault))


def _speaks_http(address: str) -> bool:
    try:
        requests.get(f"http://{address}/api/version", timeout=CONNECT_TIMEOUT_S)
    except requests.RequestException:
        return False
    return True


def _ask_ray(address: str) -> str:
    try:
        with _without(_OVERRIDES):
            return str(PRIVATE_NAMES["jobs_address"].find()(address))
    except Exception as error:  # whatever its parts raise
        said = str(error).strip().partition("\n")[0]
        raise ClusterUnreachable(
            f"no dashboard is known at {address} ({said}); name it: --address http://head:{DASHBOARD_PORT}"
        ) from error


def _job(details: JobDetails) -> Job:
    return Job(
        id=details.submission_id or "",
        state=State(str(details.status)),
        driver_exit_code=details.driver_exit_code,
        message=details.message or "",
        error=details.error_type,
        started_ms=details.start_time,
        ended_ms=details.end_time,
        command=details.entrypoint,
    )
