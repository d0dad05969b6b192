"""Jobs in memory: what a cluster would say, for tests and for trying the commands without one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from harness.submit.jobs import AlreadySubmitted, Job, JobGone, JobSpec, State


@dataclass
class MemoryJobs:
    """As `harness.submit.jobs.Jobs`; nothing runs, states change when told to."""

    orders: list[JobSpec] = field(default_factory=list)
    """What was submitted."""
    on_submit: Callable[[JobSpec], None] | None = None
    """Sees each order while its files are there."""
    _jobs: dict[str, Job] = field(default_factory=dict)
    _logs: dict[str, str] = field(default_factory=dict)

    def submit(self, order: JobSpec) -> None:
        """Note a job as running.

        Raises:
            AlreadySubmitted: there is one of that id.
        """
        if order.id in self._jobs:
            raise AlreadySubmitted(order.id)
        if self.on_submit is not None:
            self.on_submit(order)
        self.orders.append(order)
        self.put(Job(id=order.id, state=State.RUNNING, command=order.entrypoint, started_ms=1000 * len(self.orders)))

    def put(self, job: Job, log: str = "") -> None:
        """Let a job be as given, and its log grow."""
        self._jobs[job.id] = job
        self._logs[job.id] = self._logs.get(job.id, "") + log

    def all(self) -> Sequence[Job]:
        """Every job, the newest first."""
        return sorted(self._jobs.values(), key=lambda job: -(job.started_ms or 0))

    def job(self, job_id: str) -> Job:
        """One job.

        Raises:
            JobGone: there is none of that id.
        """
        if job_id not in self._jobs:
            raise JobGone(f"no job {job_id}")
        return self._jobs[job_id]

    def log(self, job_id: str) -> str:
        """What was put."""
        return self._logs[job_id]

    def stop(self, job_id: str) -> None:
        """End a job at once."""
        self._jobs[job_id] = replace(self.job(job_id), state=State.STOPPED)
