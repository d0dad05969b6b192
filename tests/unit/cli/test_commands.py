"""The output of each command, and the options that it passes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import ExitCode, TrackingUnreachable
from harness.options import RunOptions
from harness.storage import SweepFolder
from harness.tracking.memory import MemoryTracker
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import Recorder
from harness.tracking.sample import Sample
from harness.tracking.tracker import RejectedError
from tests.unit.cli.conftest import Harness


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[RunOptions]]:
    """Collect the options of each `run` instead of running anything."""
    found: list[RunOptions] = []

    def run_sweep_command(options: RunOptions) -> ExitCode:
        found.append(options)
        return ExitCode.FAILED

    monkeypatch.setitem(sys.modules, "harness.launch.run", SimpleNamespace(run_sweep_command=run_sweep_command))
    return found


def test_help_names_every_command_and_exit_code(harness: Harness) -> None:
    done = harness("--help")
    assert done.code == 0
    for command in ("plan", "run", "report", "list", "sync", "ui", "doctor", "bench"):
        assert f"\n  {command} " in done.out
    assert "130 interrupted" in done.out
    assert "..." not in done.out.replace("[ARGS]...", "").replace("datasets, ...", "")


def test_the_version_is_the_distributions(harness: Harness) -> None:
    from importlib.metadata import version

    assert harness("--version").out == f"resnet-harness {version('resnet-harness')}\n"


def test_a_plan_shows_each_trial_and_creates_nothing(harness: Harness, folder: Path) -> None:
    done = harness("plan", "tiny.yaml")
    assert done.code == 0
    lines = done.out.partition("\n\n")[0].splitlines()
    trials = [line for line in lines if "plain-8" in line or "resnet-8-A" in line]
    assert len(trials) == 4
    assert "4 trials in 2 cells, 0 done" in done.out
    assert [path.name for path in folder.iterdir()] == ["tiny.yaml"]


def test_a_plan_as_json_holds_ids_counts_and_the_name_of_the_sweep(harness: Harness) -> None:
    done = harness("plan", "tiny.yaml", "--json")
    plan = json.loads(done.out)
    assert plan["sweep"].startswith("tiny-")
    # A CIFAR net of depth 8 has 75,290 parameters with three input channels; one channel has 2 x 9 x 16 fewer.
    assert {trial["params"] for trial in plan["trials"]} == {75_290 - 288}
    assert len({trial["trial_id"] for trial in plan["trials"]}) == 4


def test_a_plan_says_which_claims_its_seeds_can_decide_and_what_it_would_take(harness: Harness) -> None:
    done = harness("plan", "workloads/digits.yaml", "--spread", "3.5")
    said = " ".join(done.out.split())
    assert "with a spread of 3.5 points between seeds. 80 % is asked for." in said
    # The gap of 3.51 points is one spread: 17 seeds a group (Cohen 1988, table 2.4.1), more for one of three claims.
    assert "residual-beats-plain: no," in said
    found = json.loads(harness("plan", "workloads/digits.yaml", "--spread", "3.5", "--json").out)["seed_power"]
    beats = next(claim for claim in found["claims"] if claim["claim"] == "residual-beats-plain")
    assert (beats["seeds"], beats["decidable"], found["spread_points"]) == (4, False, 3.5)
    assert 17 < beats["seeds_needed"] < 30


def test_a_shipped_workload_is_used_and_that_is_said_on_stderr(harness: Harness) -> None:
    done = harness("plan", "workloads/digits.yaml", "--json")
    assert json.loads(done.out)["totals"]["trials"] == 32
    assert "workloads/digits.yaml is not a file here" in done.err


def test_a_run_without_flags_has_the_documented_defaults(
    harness: Harness, asked: list[RunOptions], folder: Path
) -> None:
    done = harness("run", "tiny.yaml")
    [options] = asked
    assert options.workload.name == options.experiment == "tiny"
    assert (options.storage, options.out) == (folder / "runs", Path("out"))
    assert options.tracking_uri == f"sqlite:///{folder}/mlflow.db"
    assert (options.address, options.launcher) == (None, "ray")
    assert (options.fresh, options.json, options.report) == (False, False, True)
    assert options.collective_timeout_s == 300.0
    assert (options.workload.max_attempts, options.workload.trial_timeout_s) == (3, None)
    assert done.code == ExitCode.FAILED  # the sweep's outcome is the command's exit code


def test_the_environment_beats_the_default_and_a_flag_beats_the_environment(
    harness: Harness, asked: list[RunOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://env:1")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "env")
    monkeypatch.setenv("RAY_ADDRESS", "env:2")
    harness("run", "tiny.yaml")
    harness("run", "tiny.yaml", "--tracking-uri", "http://flag:1", "--experiment", "flag", "--address", "flag:2")
    assert [(run.tracking_uri, run.experiment, run.address) for run in asked] == [
        ("http://env:1", "env", "env:2"),
        ("http://flag:1", "flag", "flag:2"),
    ]


@pytest.mark.parametrize("before", [("--storage", "~/runs"), ("--storage=~/runs",)])
def test_the_users_home_is_meant_by_a_tilde_that_the_shell_left(
    harness: Harness, asked: list[RunOptions], folder: Path, monkeypatch: pytest.MonkeyPatch, before: tuple[str, ...]
) -> None:
    monkeypatch.setenv("HOME", str(folder / "home"))
    harness("run", "tiny.yaml", *before, "--out=~", "--tracking-uri", "sqlite:///~/x.db", "--experiment", "~me")
    (run,) = asked
    assert (run.storage, run.out) == (folder / "home" / "runs", folder / "home")
    assert run.tracking_uri == f"sqlite:///{folder}/home/x.db"
    assert run.experiment == "~me"
    assert not (folder / "~").exists()


def test_a_ray_of_ones_own_is_meant_by_local_as_by_no_address(
    harness: Harness, asked: list[RunOptions], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "local")
    harness("run", "tiny.yaml")
    harness("run", "tiny.yaml", "--address", "local")
    assert [run.address for run in asked] == [None, None]


def test_a_flag_beats_the_file(harness: Harness, asked: list[RunOptions], folder: Path) -> None:
    with (folder / "tiny.yaml").open("a") as file:
        file.write("max_attempts: 5\ntrial_timeout: 10m\n")
    harness("run", "tiny.yaml")
    harness("run", "tiny.yaml", "--max-attempts", "1", "--trial-timeout", "2h")
    assert [(run.workload.max_attempts, run.workload.trial_timeout_s) for run in asked] == [(5, 600.0), (1, 7200.0)]


def test_flags_of_a_run_reach_its_options(harness: Harness, asked: list[RunOptions]) -> None:
    harness(
        *(
            "run",
            "tiny.yaml",
            "--launcher",
            "inline",
            "--fresh",
            "--json",
            "--no-report",
            "--storage",
            "/s",
            "--out",
            "o",
        ),
        *("--collective-timeout", "90s"),
    )
    [options] = asked
    assert (options.launcher, options.fresh, options.json, options.report) == ("inline", True, True, False)
    assert (options.storage, options.out, options.collective_timeout_s) == (Path("/s"), Path("o"), 90.0)


@pytest.mark.parametrize(
    ("what", "entry"),
    [
        ("models", "resnet_cifar"),
        ("datasets", "digits"),
        ("recipes", "quick"),
        ("workloads", "digits"),
        ("claims", "plain-degrades-with-depth"),
        ("published", "resnet-20-A"),
    ],
)
def test_every_list_holds_its_entries_for_people_and_for_scripts(harness: Harness, what: str, entry: str) -> None:
    assert any(line.startswith(entry) for line in harness("list", what).out.splitlines())
    assert entry in [next(iter(record.values())) for record in json.loads(harness("list", what, "--json").out)]


def test_a_store_that_is_not_there_holds_no_sweeps_and_is_not_made(harness: Harness, folder: Path) -> None:
    done = harness("list", "sweeps")
    assert (done.code, done.out, done.err) == (0, "", "no sweeps yet\n")
    assert json.loads(harness("list", "sweeps", "--json").out) == []
    assert not (folder / "mlflow.db").exists()


def test_the_doctor_looks_at_everything_and_makes_nothing(harness: Harness, folder: Path) -> None:
    done = harness("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.out)}
    assert done.code == 0
    assert {"python", "torch", "ray", "mlflow", "cpu", "ray address", "ray token", "tracking"} <= set(checks)
    assert "RAY_AUTH_MODE=token" in checks["ray token"]["detail"]
    assert [path.name for path in folder.iterdir()] == ["tiny.yaml"]


def test_the_doctor_shows_what_the_monitor_reads_of_each_device(nvml_library: Path, folder: Path) -> None:
    """The command runs in its own process, where the loader finds the simulated NVML by LD_LIBRARY_PATH."""
    program = (
        "import ctypes, sys; fake = ctypes.CDLL('libnvidia-ml.so.1');"
        "whole = fake.fake_add(b'GPU-aaaa', b'Tesla T4', -1, 0, 0);"
        "fake.fake_add(b'MIG-bbbb', b'Tesla T4 slice', whole, 1, 0);"
        "from harness.cli.main import main; sys.exit(main(['doctor', '--json']))"
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(nvml_library.parent)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=folder, capture_output=True, text=True, check=True
    )
    whole, piece = (check for check in json.loads(done.stdout) if check["name"] == "monitor gpu")
    assert whole["status"] == piece["status"] == "note"
    assert whole["detail"].startswith(
        "Tesla T4 GPU-aaaa reports busy_pct, memory_gib, memory_pct, power_w, energy_counter_j"
    )
    assert "Not: sm_pct: Not Supported" in whole["detail"]
    assert "power_w: not reported for a slice" in piece["detail"]


def test_the_doctor_says_where_no_gpu_is_watched(harness: Harness) -> None:
    checks = {check["name"]: check for check in json.loads(harness("doctor", "--json").out)}
    assert checks["monitor host"]["status"] == "ok"
    assert checks["monitor gpu"]["detail"].startswith("nothing is read of GPUs: NVML: ")


def test_the_doctor_never_shows_a_token_or_a_password(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "planted-token")
    done = harness("doctor", "--tracking-uri", "http://user:planted-password@127.0.0.1:9")
    assert done.code == ExitCode.UNREACHABLE
    assert "planted" not in done.out + done.err


@pytest.mark.parametrize(
    ("name", "variables", "words"),
    [
        ("environment", {}, "into a shell command as it is"),
        ("uv", {"UV_RUN_RECURSION_DEPTH": "1"}, "uv started this command"),
        ("temporary files", {"TMPDIR": "/scratch/" + "u" * 60}, "too long for the paths of sockets"),
        ("storage lock", {}, "has no file locks"),
        ("decoders", {}, "has 63 MiB free (in a container: --shm-size=8g); a process may open 256 files"),
        ("home", {"HOME": "/dev/null/home"}, "/dev/null/home cannot be written"),
    ],
)
def test_the_doctor_finds_what_stands_in_the_way(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, name: str, variables: dict[str, str], words: str
) -> None:
    def found() -> dict[str, str]:
        return {check["name"]: check["detail"] for check in json.loads(harness("doctor", "--json").out)}

    for variable in ("UV", "UV_RUN_RECURSION_DEPTH", "TMPDIR", "RAY_TMPDIR"):
        monkeypatch.delenv(variable, raising=False)
    assert name not in found()
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    if name == "environment":
        monkeypatch.setattr(sys, "executable", "/home/u/my venv/bin/python")
    if name == "decoders":
        monkeypatch.setattr("os.statvfs", lambda _: SimpleNamespace(f_bavail=63 * 256, f_frsize=4096))
        monkeypatch.setattr("resource.getrlimit", lambda _: (256, 256))
    if name == "storage lock":
        monkeypatch.setattr("fcntl.flock", lambda *_: os.read(-1, 1))
    assert words in found()[name]


def test_the_doctor_says_that_nothing_answers_at_a_ray_address(harness: Harness) -> None:
    done = harness("doctor", "--address", "127.0.0.1:9")
    assert done.code == ExitCode.UNREACHABLE
    assert "no Ray cluster answers at 127.0.0.1:9 (Connection refused)" in " ".join(done.out.split())


def test_the_ui_of_a_server_is_the_server(harness: Harness) -> None:
    done = harness("ui", "--tracking-uri", "http://mlflow.example:5000")
    assert (done.code, done.out) == (0, "http://mlflow.example:5000/#/experiments?workflowType=machine_learning\n")


def test_the_ui_of_a_database_is_served_on_loopback_with_no_address_among_its_arguments(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.setattr("os.execve", lambda *command: started.append(command))
    uri = "postgresql://user:secret@db/mlflow"
    page = harness("ui", "--tracking-uri", uri, "--port", "5001").out
    assert page == "http://127.0.0.1:5001/#/experiments?workflowType=machine_learning\n"
    [(_, arguments, environment)] = started
    assert arguments[arguments.index("--host") + 1] == "127.0.0.1"
    assert "secret" not in " ".join(arguments)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == uri


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # between MLflow and SQLAlchemy
def test_sync_sends_an_outbox_once_and_the_sweep_can_then_be_listed(harness: Harness, folder: Path) -> None:
    sample = Sample(trials=2, epochs=1)
    sweep = SweepFolder(folder / "runs" / sample.name)
    sweep.make()
    outbox = Outbox(sweep.outbox)
    for event in sample.events():
        outbox.append(event)
    events = sum(1 for _ in sample.events())
    assert harness("sync").out == f"sample-1: all {events} events are in MLflow\n"
    assert harness("sync", f"runs/{sample.name}").code == 0
    [listed] = json.loads(harness("list", "sweeps", "--json").out)
    assert (listed["sweep"], listed["experiment"], listed["status"]) == ("sample-1", "sample", "finished")
    unknown = harness("report", "sample-2")
    assert (unknown.code, unknown.out) == (ExitCode.USAGE, "")
    assert "no sweep 'sample-2'" in unknown.err
    assert "sample-1" in unknown.err


class Choosy(MemoryTracker):
    """A store that refuses the sweeps of one experiment and fails with those of another."""

    def ensure_experiment(self, name: str) -> str:
        if name == "refused":
            raise RejectedError("experiment refused was deleted")
        if name == "failing":
            raise TrackingUnreachable("the database takes no such text")
        return super().ensure_experiment(name)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Choosy:
    tracker = Choosy()
    monkeypatch.setattr("harness.cli.sync.connect", lambda _: tracker)
    monkeypatch.setattr("harness.cli.sync.Recorder", partial(Recorder, connect=lambda _: tracker))
    return tracker


def outbox_of(name: str, experiment: str = "sample") -> SweepFolder:
    """Make a sweep's folder below `runs` whose events have not been sent."""
    sweep = SweepFolder(Path("runs", name))
    sweep.make()
    outbox = Outbox(sweep.outbox)
    for event in Sample(trials=1, epochs=1, name=name, sweep_id=name, experiment=experiment).events():
        outbox.append(event)
    return sweep


def test_sync_goes_on_past_a_sweep_that_cannot_be_sent_and_names_it_at_the_end(harness: Harness, store: Choosy) -> None:
    outbox_of("a", "refused")
    outbox_of("b")
    outbox_of("c", "failing")
    outbox_of("d").lock.mkdir()
    started = Sample(trials=1).started()
    Outbox(outbox_of("e").outbox).append(replace(started, trials=({"label": "no id"},)))
    outbox_of("f")
    done = harness("sync")
    assert [line.partition(":")[0] for line in done.out.splitlines()] == ["b", "f"]
    assert {run.record.name for run in store.runs.values()} >= {"b", "f"}
    head, *named = done.err.splitlines()
    assert head == "4 of 6 sweeps could not be sent; what waits is kept"
    assert [line.split(":")[0].strip() for line in named] == ["a", "c", "d", "e"]
    assert "experiment refused was deleted" in named[0]
    assert "the database takes no such text" in named[1]
    assert done.code == ExitCode.FAILED


def test_sync_ends_with_the_first_sweep_where_the_store_is_away(harness: Harness, store: Choosy) -> None:
    outbox_of("a")
    outbox_of("b")
    store.away = True
    done = harness("sync")
    assert (done.code, done.out) == (ExitCode.UNREACHABLE, "")
    assert "events of a still wait" in done.err
    assert "of b" not in done.err
