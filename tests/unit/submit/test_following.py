"""Sending, following and finding jobs, with jobs in memory."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace

import pytest

from harness.errors import ClusterUnreachable, ExitCode, UsageError
from harness.submit.follow import PATIENCE_S, Follower, wait_for_end
from harness.submit.jobs import Job, JobSpec, State, find
from harness.submit.memory import MemoryJobs
from harness.submit.send import send
from tests.unit.submit.test_submission import submission

RUNNING = Job(id="harness-tiny-0123456789ab", state=State.RUNNING, started_ms=1)


class Clock:
    """A clock that advances only during a sleep; each tick may bring something new."""

    def __init__(self, *ticks: Callable[[], None]) -> None:
        self.now_s, self._ticks = 0.0, list(ticks)

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        if self._ticks:
            self._ticks.pop(0)()


@pytest.mark.parametrize(
    ("job", "code"),
    [
        (replace(RUNNING, state=State.PENDING), None),
        (RUNNING, None),
        (replace(RUNNING, state=State.SUCCEEDED, driver_exit_code=0), ExitCode.OK),
        (replace(RUNNING, state=State.FAILED, driver_exit_code=1), ExitCode.FAILED),
        (replace(RUNNING, state=State.FAILED, driver_exit_code=3), ExitCode.INFEASIBLE),
        (replace(RUNNING, state=State.FAILED, driver_exit_code=-9), ExitCode.FAILED),
        (replace(RUNNING, state=State.FAILED, driver_exit_code=127), ExitCode.FAILED),
        (replace(RUNNING, state=State.FAILED, error="JOB_SUPERVISOR_ACTOR_DIED"), ExitCode.UNREACHABLE),
        (replace(RUNNING, state=State.STOPPED), ExitCode.STOPPED),
        (replace(RUNNING, state=State.STOPPED, driver_exit_code=0), ExitCode.STOPPED),
    ],
)
def test_a_jobs_exit_code_is_its_sweeps(job: Job, code: ExitCode | None) -> None:
    assert job.exit_code is code


def test_following_shows_each_line_once_and_ends_with_the_state_not_with_the_log() -> None:
    jobs, shown = MemoryJobs(), list[str]()
    jobs.put(RUNNING, "one\ntw")
    clock = Clock(
        lambda: jobs.put(RUNNING, "o\n"),
        lambda: None,
        lambda: jobs.put(replace(RUNNING, state=State.FAILED, driver_exit_code=1), "three"),
    )
    ended = Follower(jobs, shown.append, clock, clock.sleep).to_end(RUNNING.id)
    assert ended.exit_code is ExitCode.FAILED
    assert shown == ["one", "two", "three"]


class Away(MemoryJobs):
    """A cluster that does not answer for a while."""

    away = True

    def job(self, job_id: str) -> Job:
        if self.away:
            raise ClusterUnreachable("nothing answers")
        return super().job(job_id)


def test_a_cluster_that_is_away_for_a_while_does_not_end_the_following() -> None:
    jobs = Away()
    jobs.put(replace(RUNNING, state=State.SUCCEEDED, driver_exit_code=0))

    def back() -> None:
        jobs.away = False

    clock = Clock(*[lambda: None] * 20, back)
    assert Follower(jobs, print, clock, clock.sleep).to_end(RUNNING.id).exit_code is ExitCode.OK


def test_a_cluster_that_stays_away_is_given_up_and_the_way_back_is_shown() -> None:
    clock = Clock()
    with pytest.raises(ClusterUnreachable, match=f"harness logs -f {RUNNING.id}"):
        Follower(Away(), print, clock, clock.sleep).to_end(RUNNING.id)
    assert PATIENCE_S < clock.now_s < PATIENCE_S + 5


def test_waiting_for_an_end_gives_up_in_time() -> None:
    jobs, clock = MemoryJobs(), Clock()
    jobs.put(RUNNING)
    assert wait_for_end(jobs, RUNNING.id, 10, clock, clock.sleep).state is State.RUNNING
    assert clock.now_s == pytest.approx(10, abs=0.5)


def test_a_second_submit_joins_the_running_job() -> None:
    jobs = MemoryJobs()
    first, second = (send(jobs, submission(), {}) for _ in range(2))
    assert (first.joined, second.joined) == (False, True)
    assert first.job_id == second.job_id
    assert len(jobs.submitted) == 1


@pytest.mark.parametrize("state", [State.FAILED, State.STOPPED, State.SUCCEEDED])
def test_after_an_attempt_that_ended_the_next_one_follows(state: State) -> None:
    jobs = MemoryJobs()
    first = send(jobs, submission(), {}).job_id
    jobs.put(replace(jobs.job(first), state=state))
    second = send(jobs, submission(), {})
    assert second.job_id == f"{first}-2"
    assert second.before is not None
    assert second.before.state is state
    assert send(jobs, submission(), {}).job_id == second.job_id


def test_of_two_who_submit_at_once_the_slower_joins() -> None:
    class Late(MemoryJobs):
        def all(self) -> list[Job]:
            return []

    jobs = Late()
    assert not send(jobs, submission(), {}).joined
    assert send(jobs, submission(), {}).joined


def test_only_our_packages_and_the_workload_are_shipped_and_the_secret_is_its_owners() -> None:
    seen = {}

    def look(spec: JobSpec) -> None:
        seen["roots"] = {name.partition("/")[0] for name in zipfile.ZipFile(spec.code).namelist()}
        seen["payload"] = {path.name for path in spec.payload.iterdir()}
        secret = spec.payload / "environment.json"
        seen["mode"] = stat.S_IMODE(secret.stat().st_mode)
        seen["environment"] = json.loads(secret.read_text())

    send(MemoryJobs(on_submit=look), submission(), {"git_commit": "abc"})
    ours = {root for root in seen["roots"] if not root.endswith(".dist-info")}
    assert ours == {"harness", "models", "reports", "workloads", "shipped.json"}
    assert seen["payload"] == {"submission_id", "workload.yaml", "environment.json"}
    assert seen["mode"] == 0o600
    assert seen["environment"]["MLFLOW_TRACKING_PASSWORD"] == "planted"


JOBS = [
    Job(id="harness-tiny-0123456789ab-2", state=State.RUNNING, started_ms=3),
    Job(id="harness-big-aaaaaaaaaaaa", state=State.SUCCEEDED, started_ms=2),
    Job(id="harness-tiny-0123456789ab", state=State.FAILED, started_ms=1),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (None, 0),
        ("harness-tiny-0123456789ab", 2),
        ("tiny", 0),
        ("harness-tiny-01", 0),
        ("big", 1),
    ],
)
def test_a_job_is_found_by_its_id_or_the_beginning_of_its_name(wanted: str | None, index: int) -> None:
    assert find(JOBS, wanted) is JOBS[index]


@pytest.mark.parametrize(("wanted", "said"), [("harness-", "several jobs"), ("huge", "no job")])
def test_a_name_that_means_none_or_several_lists_what_there_is(wanted: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"{said}.*harness-big-aaaaaaaaaaaa"):
        find(JOBS, wanted)


def test_a_cluster_without_jobs_says_how_to_start_one() -> None:
    with pytest.raises(UsageError, match="harness submit FILE"):
        find([], None)
