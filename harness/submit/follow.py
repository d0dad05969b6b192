"""Following a job to its end. The job's state shows the end; the end of a log stream shows nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.errors import ClusterUnreachable
from harness.submit.jobs import Job, Jobs

POLL_S = 1.0
LOG_SHARE = 0.05
"""Share of the time that may be spent on reading a log, which Ray sends whole each time."""
PATIENCE_S = 60.0
"""Seconds that the cluster may be unreachable before following ends, for example while its head's network recovers."""


@dataclass
class Follower:
    """Shows the new part of a job's log, in whole lines.

    Args:
        jobs: the cluster's jobs.
        write: takes new lines, without the last line end.
        clock, sleep: functions of the time module; tests pass others.
    """

    jobs: Jobs
    write: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _shown: int = field(default=0, init=False)
    _next_log_s: float = field(default=0.0, init=False)

    def to_end(self, job_id: str) -> Job:
        """Show the log as it grows. Return the job once it has ended.

        Raises:
            ClusterUnreachable: nothing answers any more. The job may still run.
            JobGone: the cluster no longer knows the job.
        """
        last_answer_s = self.clock()
        while True:
            try:
                job = self.jobs.job(job_id)
                self._show_new(job_id, at_once=job.state.has_ended)
                if job.state.has_ended:
                    return job
                last_answer_s = self.clock()
            except ClusterUnreachable as error:
                if self.clock() - last_answer_s > PATIENCE_S:
                    raise ClusterUnreachable(
                        f"{error}\n{job_id} may go on without us: harness logs -f {job_id}"
                    ) from error
            self.sleep(POLL_S)

    def show(self, job_id: str) -> None:
        """Show the rest of the log so far."""
        self._show_new(job_id, at_once=True)

    def _show_new(self, job_id: str, *, at_once: bool) -> None:
        start_s = self.clock()
        if start_s < self._next_log_s and not at_once:
            return
        log = self.jobs.log(job_id)
        took_s = self.clock() - start_s
        self._next_log_s = self.clock() + took_s / LOG_SHARE
        end = len(log) if at_once else log.rfind("\n") + 1
        if end > self._shown:
            self.write(log[self._shown : end].removesuffix("\n"))
            self._shown = end


def wait_for_end(
    jobs: Jobs,
    job_id: str,
    timeout_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Job:
    """Return the job once it has ended, or its last state when the time is up."""
    deadline_s = clock() + timeout_s
    while not (job := jobs.job(job_id)).state.has_ended and clock() < deadline_s:
        sleep(POLL_S / 4)
    return job
