"""`harness submit`, `status`, `logs` and `stop`: a sweep as a job of a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import (
    CheckpointEvery,
    CollectiveTimeout,
    Dashboard,
    Experiment,
    File,
    Fresh,
    Json,
    KeepWeights,
    MaxAttempts,
    Monitor,
    StallTimeout,
    TakeOver,
    TrialTimeout,
    duration,
    load,
)
from harness.cli.output import emit, emit_json, note, stanzas
from harness.errors import ExitCode, HarnessError, UsageError

if TYPE_CHECKING:
    from harness.submit.jobs import Job, Jobs
    from harness.submit.submission import Submission

STOPPED_WITHIN_S = 40.0
"""Seconds that `harness stop` watches. The driver ends within 10 s; Ray kills it after 30 s."""

JobName = Annotated[
    str | None, typer.Argument(metavar="[JOB]", help="Id of a job, or its beginning; the newest if not given.")
]


def submit(
    file: File,
    storage: Annotated[
        str, typer.Option(help="Folder for checkpoints and outboxes that every node sees at this path.")
    ],
    address: Dashboard = None,
    tracking_uri: Annotated[
        str | None, typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow server that the cluster's head reaches.")
    ] = None,
    experiment: Experiment = None,
    fresh: Fresh = False,
    take_over: TakeOver = False,
    follow: Annotated[bool, typer.Option("--follow/--no-wait", help="Show progress until the sweep ends.")] = True,
    pip: Annotated[bool, typer.Option("--pip", help="Install the versions of here on the cluster, Ray apart.")] = False,
    pass_env: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A further variable for the driver, such as AWS_PROFILE.")
    ] = None,
    python: Annotated[str, typer.Option(metavar="PATH", help="The interpreter on the cluster's head.")] = "python",
    max_attempts: MaxAttempts = None,
    trial_timeout: TrialTimeout = None,
    stall_timeout: StallTimeout = None,
    checkpoint_every: CheckpointEvery = None,
    collective_timeout: CollectiveTimeout = "5m",
    keep_weights: KeepWeights = False,
    monitor: Monitor = True,
    json: Json = False,
) -> None:
    """Run a workload as a job of a Ray cluster.

    Ships the harness and the workload file, nothing else. The same command again joins the job that runs, or goes on
    after one that ended. Ctrl-C leaves the job running.
    """
    from harness.submit.pins import pinned_requirements
    from harness.submit.submission import Submission, check_storage, driver_environment

    workload = load(file)
    given = {
        "--max-attempts": max_attempts,
        "--trial-timeout": trial_timeout,
        "--stall-timeout": stall_timeout,
        "--checkpoint-every": checkpoint_every,
        "--collective-timeout": collective_timeout,
    }
    for flag, text in given.items():
        if isinstance(text, str):
            duration(flag, text)  # a mistake is reported here and not on the cluster
    submission = Submission(
        workload=workload,
        storage=check_storage(storage),
        experiment=experiment or workload.name,
        environment=driver_environment(tracking_uri, pass_env or (), os.environ),
        arguments=(
            *(f"{flag}={value}" for flag, value in given.items() if value is not None),
            *(["--take-over"] if take_over else []),
            *(["--keep-weights"] if keep_weights else []),
            *([] if monitor else ["--no-monitor"]),
        ),
        fresh=fresh,
        pip=pinned_requirements() if pip else (),
        python=python,
    )
    _submit(submission, address, follow=follow, json=json)


def status(job: JobName = None, address: Dashboard = None, json: Json = False) -> None:
    """Show how a job is."""
    jobs = connect(address)
    record = job_record(_find(jobs, job))
    if json:
        emit_json(record)
    else:
        emit(stanzas([record]))


def logs(
    job: JobName = None,
    address: Dashboard = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends, with its code.")] = False,
) -> None:
    """Show what a job's driver says."""
    from harness.submit.follow import Follower

    jobs = connect(address)
    found = _find(jobs, job)
    if not follow:
        Follower(jobs, emit).show(found.id)
        return
    raise typer.Exit(_follow(jobs, found.id, emit, address))


def stop(
    job: Annotated[
        str | None, typer.Argument(metavar="[JOB]", help="Id of a job, or its beginning; the one that runs.")
    ] = None,
    address: Dashboard = None,
) -> None:
    """End a job.

    Checkpoints are kept, MLflow runs end as KILLED, and the same submit again goes on.
    """
    from harness.submit.follow import wait_for_end

    jobs = connect(address)
    found = _find(jobs, job) if job else _only_running(jobs)
    if found.state.has_ended:
        note(f"{found.id} has ended already: {found.state.value}")
        return
    jobs.stop(found.id)
    ended = wait_for_end(jobs, found.id, STOPPED_WITHIN_S)
    if not ended.state.has_ended:
        raise HarnessError(
            f"{found.id} was told to stop but is {ended.state.value} after {STOPPED_WITHIN_S:.0f} s; "
            f"look at: harness logs {found.id}"
        )
    emit(f"{ended.id}: {ended.state.value}")


def connect(address: str | None) -> Jobs:
    """Return the jobs of the cluster at an address.

    Raises:
        UsageError: there is no address.
        ClusterUnreachable: no Ray answers there.
    """
    if not address:
        raise UsageError(
            "which cluster? Give --address (or RAY_API_SERVER_ADDRESS, or RAY_ADDRESS): Ray's dashboard, as in "
            "http://head:8265"
        )
    from harness.cluster.jobs import RayJobs

    return RayJobs(address)


def job_record(job: Job) -> dict[str, Any]:
    """Return a job as a record for people and scripts."""
    code = job.exit_code
    return {
        "job": job.id,
        "state": job.state.value,
        "exit_code": None if code is None else int(code),
        "started": _time(job.started_ms),
        "ended": _time(job.ended_ms),
    }


def _submit(submission: Submission, address: str | None, *, follow: bool, json: bool) -> None:
    from pathlib import Path

    import harness
    from harness.package import git_state
    from harness.submit.send import send

    jobs = connect(address)
    sent = send(jobs, submission, git_state(Path(harness.__file__).parent))
    if sent.joined:
        note(f"{sent.job_id} runs already: joined it")
    elif sent.before is not None:
        note(f"{sent.job_id} submitted; the attempt before ended as {sent.before.state.value}")
    else:
        note(f"{sent.job_id} submitted")
    code = ExitCode.OK
    if follow:
        code = _follow(jobs, sent.job_id, note if json else emit, address)
    else:
        note(_next_commands(sent.job_id, address))
    if json:
        emit_json({**job_record(jobs.job(sent.job_id)), "joined": sent.joined})
    raise typer.Exit(code)


def _follow(jobs: Jobs, job_id: str, write: Callable[[str], None], address: str | None) -> ExitCode:
    """Show a job until it has ended and return the sweep's exit code."""
    from harness.submit.follow import Follower

    try:
        ended = Follower(jobs, write).to_end(job_id)
    except KeyboardInterrupt:
        note(f"\n{job_id} runs on.\n{_next_commands(job_id, address)}")
        return ExitCode.INTERRUPTED
    code = ended.exit_code
    assert code is not None
    if ended.driver_exit_code != code:
        note(f"{job_id}: {ended.state.value}. {_one_line(ended)}")
    return code


def _one_line(job: Job) -> str:
    """Return one line that explains the end of a job whose driver did not end it."""
    from harness.submit.jobs import State

    if job.state is State.STOPPED:
        return "Submit again to go on"
    if (code := job.driver_exit_code or 0) < 0:
        return f"The driver was killed by signal {-code}; submit again to go on"
    said = next((line for line in reversed(job.message.splitlines()) if line.strip()), job.error or "")
    return f"{said.strip()[:300]}; submit again to go on"


def _next_commands(job_id: str, address: str | None) -> str:
    at = "" if address == os.environ.get("RAY_ADDRESS") else f" --address {address}"
    return "\n".join(f"  harness {command} {job_id}{at}" for command in ("logs -f", "status", "stop"))


def _find(jobs: Jobs, wanted: str | None) -> Job:
    from harness.submit.jobs import find

    return find(jobs.all(), wanted)


def _only_running(jobs: Jobs) -> Job:
    running = [job for job in jobs.all() if not job.state.has_ended]
    if len(running) == 1:
        return running[0]
    if not running:
        raise UsageError("no job of ours runs on this cluster; `harness list jobs` shows those that have ended")
    raise UsageError(f"{len(running)} jobs run; name one: {', '.join(job.id for job in running)}")


def _time(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000).astimezone().isoformat(" ", "seconds")
