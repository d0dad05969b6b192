"""Jobs in memory, in place of a cluster's: for tests, and for trying the commands without a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from harness.submit.jobs import AlreadySubmitted, Job, JobGone, JobSpec, State


@dataclass
class MemoryJobs:
    """Jobs as in `harness.submit.jobs.Jobs`. Nothing runs; states change only by calls."""

    submitted: list[JobSpec] = field(default_factory=list)
    """Jobs that were submitted."""
    on_submit: Callable[[JobSpec], None] | None = None
    """Function that gets each job while its files exist."""
    _jobs: dict[str, Job] = field(default_factory=dict)
    _logs: dict[str, str] = field(default_factory=dict)

    def submit(self, spec: JobSpec) -> None:
        """Record a job as running.

        Raises:
            AlreadySubmitted: a job of that id exists.
        """
        if spec.id in self._jobs:
            raise AlreadySubmitted(spec.id)
        if self.on_submit is not None:
            self.on_submit(spec)
        self.submitted.append(spec)
        self.put(Job(id=spec.id, state=State.RUNNING, command=spec.entrypoint, started_ms=1000 * len(self.submitted)))

    def put(self, job: Job, log: str = "") -> None:
        """Set a job's state, and append to its log."""
        self._jobs[job.id] = job
        self._logs[job.id] = self._logs.get(job.id, "") + log

    def all(self) -> Sequence[Job]:
        """Return every job, the newest first."""
        return sorted(self._jobs.values(), key=lambda job: -(job.started_ms or 0))

    def job(self, job_id: str) -> Job:
        """Return one job.

        Raises:
            JobGone: no job has that id.
        """
        if job_id not in self._jobs:
            raise JobGone(f"no job {job_id}")
        return self._jobs[job_id]

    def log(self, job_id: str) -> str:
        """Return the log that was put."""
        return self._logs[job_id]

    def stop(self, job_id: str) -> None:
        """End a job at once."""
        self._jobs[job_id] = replace(self.job(job_id), state=State.STOPPED)
