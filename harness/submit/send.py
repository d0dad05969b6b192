"""Sending a submission: it joins the running job of the same id, or starts the next attempt if that has ended."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.package import code_digest
from harness.submit.code_archive import write_code
from harness.submit.driver import write_payload
from harness.submit.jobs import AlreadySubmitted, Job, Jobs, JobSpec
from harness.submit.submission import Submission, attempt_id, attempt_of, last_attempt


@dataclass(frozen=True, kw_only=True)
class SubmitResult:
    """The job that a submission started or joined."""

    job_id: str
    joined: bool
    """Whether a job of the same workload and code was running already."""
    before: Job | None
    """The attempt before, which has ended."""


def send(jobs: Jobs, submission: Submission, origin: Mapping[str, Any]) -> SubmitResult:
    """Start a submission's next attempt, or join the one that runs.

    Args:
        jobs: the cluster's jobs.
        submission: the submission to run.
        origin: the origin of the code, as `harness.package.git_state` gives it.

    Raises:
        HarnessError: see `harness.errors`.
    """
    base = submission.base_id(code_digest())
    before = _latest(jobs, base)
    if before is not None and not before.state.has_ended:
        return SubmitResult(job_id=before.id, joined=True, before=None)
    job_id = attempt_id(base, 1 if before is None else attempt_of(before.id)[1] + 1)
    with tempfile.TemporaryDirectory(prefix="harness-submit-") as folder:
        try:
            jobs.submit(_job_spec(Path(folder), job_id, submission, origin))
        except AlreadySubmitted:
            return SubmitResult(job_id=job_id, joined=True, before=None)
    return SubmitResult(job_id=job_id, joined=False, before=before)


def entrypoint(submission: Submission) -> str:
    """Return the shell command for the head node. With `exec`, a stop reaches Python and not a shell before it."""
    command = [submission.python, "-m", "harness.submit.driver", "run", *submission.run_arguments]
    return f"exec {shlex.join(command)}"


def _latest(jobs: Jobs, base: str) -> Job | None:
    known = {job.id: job for job in jobs.all()}
    number = last_attempt(base, known)
    return known[attempt_id(base, number)] if number else None


def _job_spec(folder: Path, job_id: str, submission: Submission, origin: Mapping[str, Any]) -> JobSpec:
    code = folder / "code.zip"
    write_code(code, origin)
    sealed = write_payload(
        folder, submission_id=job_id, workload=submission.workload.text, environment=submission.environment
    )
    return JobSpec(id=job_id, entrypoint=entrypoint(submission), code=code, payload=sealed, pip=submission.pip)
