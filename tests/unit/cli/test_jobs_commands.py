"""`submit`, `status`, `logs`, `stop` and `list jobs` against jobs in memory."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.cli import jobs as cli_jobs
from harness.submit.jobs import Job, JobSpec, State
from harness.submit.memory import MemoryJobs
from tests.unit.cli.conftest import Harness

SUBMIT = ("submit", "tiny.yaml", "--storage", "/shared/runs", "--tracking-uri", "http://mlflow:5000")
AT = ("--address", "http://head:8265")


class Ending(MemoryJobs):
    """A cluster whose jobs end as soon as they are submitted."""

    end = Job(id="", state=State.SUCCEEDED, driver_exit_code=0)

    def submit(self, spec: JobSpec) -> None:
        super().submit(spec)
        self.put(replace(self.end, id=spec.id, started_ms=1000), "[1/4] done\n")


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Ending:
    made = Ending()
    monkeypatch.setattr("harness.cluster.jobs.RayJobs", lambda address: made)
    return made


@pytest.mark.parametrize(
    ("state", "driver", "code"),
    [
        (State.SUCCEEDED, 0, 0),
        (State.FAILED, 1, 1),
        (State.FAILED, 3, 3),
        (State.FAILED, 4, 4),
        (State.FAILED, -9, 1),
        (State.FAILED, None, 4),
        (State.STOPPED, None, 5),
    ],
)
def test_submit_ends_with_the_sweeps_own_code(
    harness: Harness, jobs: Ending, state: State, driver: int | None, code: int
) -> None:
    jobs.end = replace(jobs.end, state=state, driver_exit_code=driver)
    done = harness(*SUBMIT, *AT)
    assert done.code == code, done.err
    assert done.out == "[1/4] done\n"


def test_a_driver_that_was_killed_is_told_with_its_signal(harness: Harness, jobs: Ending) -> None:
    jobs.end = replace(jobs.end, state=State.FAILED, driver_exit_code=-9)
    assert "killed by signal 9; submit again to go on" in harness(*SUBMIT, *AT).err


def test_no_wait_prints_the_next_commands(harness: Harness, jobs: Ending) -> None:
    done = harness(*SUBMIT, *AT, "--no-wait")
    assert (done.code, done.out) == (0, "")
    (spec,) = jobs.submitted
    for command in ("logs -f", "status", "stop"):
        assert f"  harness {command} {spec.id} --address http://head:8265" in done.err


def test_json_is_all_that_stdout_gets(harness: Harness, jobs: Ending) -> None:
    record = json.loads(harness(*SUBMIT, *AT, "--json").out)
    assert (record["state"], record["exit_code"], record["joined"]) == ("SUCCEEDED", 0, False)


def test_ctrl_c_leaves_the_job_running(harness: Harness, jobs: Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.end = replace(jobs.end, state=State.RUNNING, driver_exit_code=None)

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.submit.follow.Follower._show_new", interrupt)
    done = harness(*SUBMIT, *AT)
    assert done.code == 130
    assert "runs on" in done.err
    assert "harness stop" in done.err
    assert jobs.all()[0].state is State.RUNNING


def test_stop_ends_the_one_job_that_runs(harness: Harness, jobs: Ending) -> None:
    jobs.put(Job(id="harness-a-000000000000", state=State.RUNNING, started_ms=1))
    jobs.put(Job(id="harness-b-000000000000", state=State.FAILED, started_ms=2))
    done = harness("stop", *AT)
    assert (done.code, done.out) == (0, "harness-a-000000000000: STOPPED\n")
    assert "no job of ours runs" in harness("stop", *AT).err
    assert harness("stop", "b", *AT).err == "harness-b-000000000000 has ended already: FAILED\n"


def test_stop_does_not_choose_among_several(harness: Harness, jobs: Ending) -> None:
    for name in ("a", "b"):
        jobs.put(Job(id=f"harness-{name}-000000000000", state=State.RUNNING))
    done = harness("stop", *AT)
    assert done.code == 2
    assert "2 jobs run; name one" in done.err
    assert all(job.state is State.RUNNING for job in jobs.all())


def test_a_job_that_does_not_end_is_told(harness: Harness, jobs: Ending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_jobs, "STOPPED_WITHIN_S", 0.0)
    monkeypatch.setattr(Ending, "stop", lambda self, job_id: None)
    jobs.put(Job(id="harness-a-000000000000", state=State.RUNNING))
    done = harness("stop", *AT)
    assert done.code == 1
    assert "was told to stop but is RUNNING" in done.err


def test_status_and_the_list_show_state_and_code(harness: Harness, jobs: Ending) -> None:
    jobs.put(Job(id="harness-a-000000000000", state=State.FAILED, driver_exit_code=3, started_ms=0))
    assert json.loads(harness("status", "--json", *AT).out)["exit_code"] == 3
    assert "state: FAILED" in harness("status", "a", *AT).out
    (record,) = json.loads(harness("list", "jobs", "--json", *AT).out)
    assert record["job"] == "harness-a-000000000000"


def test_logs_are_shown_and_followed_to_the_code(harness: Harness, jobs: Ending) -> None:
    jobs.put(Job(id="harness-a-000000000000", state=State.FAILED, driver_exit_code=1), "one\ntwo")
    assert harness("logs", *AT).out == "one\ntwo\n"
    done = harness("logs", "-f", "a", *AT)
    assert (done.code, done.out) == (1, "one\ntwo\n")


@pytest.mark.parametrize("command", [SUBMIT, ("status",), ("logs",), ("stop",), ("list", "jobs")])
def test_without_an_address_the_command_asks_for_it(harness: Harness, command: tuple[str, ...]) -> None:
    done = harness(*command)
    assert done.code == 2
    assert "--address" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("submit", "tiny.yaml", "--storage", "runs", *AT), "absolute path"),
        (("submit", "tiny.yaml", "--storage", "/runs", *AT), "tracking server"),
        ((*SUBMIT, "--pass-env", "NOT_SET", *AT), "NOT_SET, which is not set"),
        ((*SUBMIT, "--trial-timeout", "soon", *AT), "--trial-timeout"),
        ((*SUBMIT, "--collective-timeout", "0s", *AT), "--collective-timeout"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_before_the_cluster_is_asked(
    harness: Harness, jobs: Ending, arguments: tuple[str, ...], said: str
) -> None:
    done = harness(*arguments)
    assert done.code == 2
    assert said in done.err
    assert not jobs.submitted


def test_flags_that_change_the_run_are_handed_on(harness: Harness, jobs: Ending) -> None:
    harness(*SUBMIT, *AT, "--max-attempts", "5", "--trial-timeout", "2h", "--fresh", "--keep-weights", "--no-monitor")
    told = "--fresh --max-attempts=5 --trial-timeout=2h --collective-timeout=5m --keep-weights --no-monitor"
    assert told in jobs.submitted[0].entrypoint


def test_submit_takes_every_flag_by_which_a_run_is_changed(harness: Harness, jobs: Ending) -> None:
    """Exceptions are the flags that choose where a run happens and what it shows."""
    from inspect import signature

    from harness.cli.jobs import submit
    from harness.cli.main import run

    assert set(signature(run).parameters) - set(signature(submit).parameters) == {"launcher", "out", "report"}
