"""A cluster's jobs, as submitting and following needs them. `harness.cluster.jobs` gets them from Ray."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from harness.errors import ExitCode, HarnessError, UsageError
from harness.submit.submission import PREFIX, attempt_of


class State(StrEnum):
    """State of a job, in Ray's words."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"

    @property
    def has_ended(self) -> bool:
        """Whether the job has ended and its state is final."""
        return self in (State.STOPPED, State.SUCCEEDED, State.FAILED)


@dataclass(frozen=True, kw_only=True)
class Job:
    """The cluster's record of one job."""

    id: str
    state: State
    driver_exit_code: int | None = None
    """Exit code of the driver, if it ended by itself."""
    message: str = ""
    error: str | None = None
    """Ray's name for the kind of a failure that is not the driver's own."""
    started_ms: int | None = None
    ended_ms: int | None = None
    command: str = ""

    @property
    def exit_code(self) -> ExitCode | None:
        """Exit code of the sweep, None while it runs.

        A job that Ray stopped counts as stopped, whatever its driver returned. A driver that was killed, or a job that
        was lost with its head node, has failed. Ray's own 0 for a stopped job is never passed on.
        """
        if not self.state.has_ended:
            return None
        if self.state is State.STOPPED:
            return ExitCode.STOPPED
        if self.driver_exit_code is None:
            return ExitCode.OK if self.state is State.SUCCEEDED else ExitCode.UNREACHABLE
        known = self.driver_exit_code in ExitCode._value2member_map_
        return ExitCode(self.driver_exit_code) if known else ExitCode.FAILED


@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """A job to start."""

    id: str
    entrypoint: str
    code: Path
    """Zip file of our packages."""
    payload: Path
    """Folder with the payload, for the driver alone; see `harness.submit.driver`."""
    pip: tuple[str, ...] = ()


class AlreadySubmitted(HarnessError):
    """A job of that id exists already: somebody else submitted it first."""


class JobGone(HarnessError):
    """The cluster knows no job of that id."""

    exit_code = ExitCode.USAGE


class Jobs(Protocol):
    """The jobs of one cluster. Every method may raise `ClusterUnreachable`."""

    def submit(self, spec: JobSpec) -> None:
        """Start a job.

        Raises:
            AlreadySubmitted: a job of that id exists.
        """
        ...

    def all(self) -> Sequence[Job]:
        """Return every job of ours, the newest first."""
        ...

    def job(self, job_id: str) -> Job:
        """Return one job.

        Raises:
            JobGone: no job has that id.
        """
        ...

    def log(self, job_id: str) -> str:
        """Return the whole log of the job's driver so far."""
        ...

    def stop(self, job_id: str) -> None:
        """Ask a job to end; its driver gets SIGTERM."""
        ...


def find(jobs: Sequence[Job], wanted: str | None) -> Job:
    """Return the job that a user means: by its id or the beginning of it, with or without our prefix, or the newest.

    If a submission has several attempts, the last is meant.

    Args:
        jobs: the newest first.
        wanted: the text that the user wrote; None for the newest job.

    Raises:
        UsageError: no job matches, or several do.
    """
    if not jobs:
        raise UsageError("this cluster has no job of ours; `harness submit FILE --address URL` starts one")
    if wanted is None:
        return jobs[0]
    if exact := [job for job in jobs if job.id == wanted]:
        return exact[0]
    meant = [job for job in jobs if job.id.startswith((wanted, PREFIX + wanted))]
    if len({attempt_of(job.id)[0] for job in meant}) == 1:
        return max(meant, key=lambda job: attempt_of(job.id)[1])
    names = ", ".join(job.id for job in (meant or jobs)[:5])
    raise UsageError(f"{wanted!r} is the beginning of {'several jobs' if meant else 'no job'}; there are {names}")
