"""The pieces of `harness run` that need neither Ray nor MLflow."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from harness.errors import StorageError, UsageError
from harness.events import TrialEnded
from harness.launch.lock import lock_fault, locked
from harness.launch.progress import Progress, outcome_counts, time_left
from harness.launch.run import no_weights, out_of_time, outcome_of
from harness.launch.sweep import shape_of
from harness.package import git_state
from harness.scheduling.types import Running, Shape, Snapshot
from harness.schema import Outcome
from harness.storage import SweepFolder
from harness.tracking.recorder import Progress as Recorded
from harness.trial import Scale
from harness.workload.load import fingerprints, parse_workload
from harness.workload.matrix import expand

EMPTY = Snapshot(total=4, waiting=4, running=(), ended=(), ended_count=0, cost_total=40.0, cost_done=0.0)


def ended(outcome: Outcome, reason: str = "", **results: float) -> TrialEnded:
    return TrialEnded(trial_id="t1", attempt=1, outcome=outcome, reason=reason, results=results)


class Screen(io.StringIO):
    """Text on stderr, which is a terminal or a file."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def shown(*snapshots: Snapshot, terminal: bool = False, error: str | None = None) -> str:
    screen = Screen(terminal)
    console = Console(file=screen, width=80, force_terminal=terminal, color_system=None)
    recorded = Recorded(sent=0, waiting=0, error=error)
    with Progress({"t1": "resnet-20-A seed 1"}, console, lambda: recorded) as progress:
        for snapshot in snapshots:
            progress.show(snapshot)
    return screen.getvalue()


def test_time_left_is_the_rest_of_the_cost_at_the_rate_so_far() -> None:
    assert time_left(EMPTY, 10.0) == ""
    assert time_left(replace(EMPTY, cost_done=10.0), 20.0) == "1 min 00 s left"
    assert time_left(replace(EMPTY, cost_done=1.9), 20.0) == "", "most of it was the workers' start"


def test_outcomes_are_counted_and_those_that_did_not_occur_left_out() -> None:
    ends = [ended(Outcome.FINISHED), ended(Outcome.OUT_OF_MEMORY), ended(Outcome.FINISHED)]
    assert outcome_counts(ends) == "2 finished, 1 out of memory"


@pytest.mark.parametrize(
    ("outcome", "done", "word"),
    [
        (Outcome.FAILED, [], "failed"),
        (Outcome.STOPPED, ["t1"], "reused"),  # another sweep finished the trial in which this one was stopped
        (Outcome.DIVERGED, ["t1"], "diverged"),  # done, by this sweep itself
        (None, ["t1"], "reused"),
        (None, ["t2"], "missing"),
    ],
)
def test_an_end_without_a_result_gives_way_to_a_result_elsewhere(
    outcome: Outcome | None, done: list[str], word: str
) -> None:
    ends = {} if outcome is None else {"t1": ended(outcome)}
    assert outcome_of("t1", ends, done) == word


def test_what_ran_out_of_time_is_told_to_get_more_of_it() -> None:
    late = ended(Outcome.TIMED_OUT)
    advice = out_of_time([ended(Outcome.FINISHED), late, late], 900.0)
    assert advice is not None
    assert advice.startswith("Out of time: 2 trials. Raise trial_timeout, 900 s for each attempt now")
    assert out_of_time([ended(Outcome.FINISHED), ended(Outcome.FAILED)], 900.0) is None


def test_weights_that_a_result_never_had_are_missed_aloud(tmp_path: Path) -> None:
    text = "name: t\ndataset: digits\nmatrix: {model: resnet_cifar, depth: 8}\nrecipe: quick\nseeds: 3\nkeep: weights\n"
    workload = parse_workload("t", text)
    trials, folder = expand(workload, fingerprints(workload)), SweepFolder(tmp_path)
    done = [trial.id for trial in trials[:2]]
    assert no_weights(trials, done, folder) == (
        "2 trials finished earlier without saving weights. Use --fresh to train them again."
    )
    for trial_id in done:
        folder.trial(trial_id).mkdir(parents=True)
        folder.weights(trial_id).touch()
    assert no_weights(trials, done, folder) is None
    assert (
        no_weights([replace(trial, keep_weights=False) for trial in trials], done, SweepFolder(tmp_path / "o")) is None
    )


def test_where_there_is_no_terminal_an_ended_trial_is_one_plain_line() -> None:
    end = ended(Outcome.FINISHED, **{"final/train_error_pct": 0.07, "final/test_error_pct": 1.414})
    text = shown(EMPTY, replace(EMPTY, ended=(end,), ended_count=1))
    assert text == "[1/4] resnet-20-A seed 1: finished, training error 0.07 %, test error 1.41 %\n"


def test_a_failed_trial_says_why_on_a_terminal_too_and_markup_in_it_is_text() -> None:
    end = ended(Outcome.FAILED, "ValueError: [red]no[/red]")
    text = shown(replace(EMPTY, ended=(end,), ended_count=1), terminal=True)
    assert "[1/4] resnet-20-A seed 1: failed, ValueError: [red]no[/red]" in text
    assert "1 failed" in text


def test_the_display_lists_what_runs_and_says_when_mlflow_is_away() -> None:
    running = tuple(Running(label=f"net-{index} seed 0", group="group-1", epoch=3, epochs=12) for index in range(10))
    text = shown(replace(EMPTY, waiting=0, running=running), terminal=True, error="refused")
    assert "net-7 seed 0" in text
    assert "epoch 3/12" in text
    assert "net-8" not in text
    assert "and 2 more" in text
    assert "MLflow does not answer" in text


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(_file: object, _how: int) -> None:
        raise OSError(number, os.strerror(number))

    assert lock_fault(tmp_path) is None
    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(StorageError, match=r"has no file locks .* with --storage$"), locked(tmp_path / "driver.lock"):
        pass
    assert str(tmp_path) in str(lock_fault(tmp_path))


@pytest.mark.parametrize(
    ("is_terminal", "variables"),
    [
        (False, {"FORCE_COLOR": "1"}),
        (False, {"TTY_COMPATIBLE": "1"}),
        (True, {"TERM": "dumb"}),
        (True, {"TERM": "unknown"}),
        (True, {"TTY_INTERACTIVE": "0"}),
        (True, {"TTY_COMPATIBLE": "0"}),
    ],
)
def test_what_cannot_draw_frames_gets_plain_lines(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, variables: dict[str, str]
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    screen = Screen(is_terminal)
    end = ended(Outcome.FINISHED, **{"final/test_error_pct": 1.414})
    with Progress({"t1": "net seed 1"}, Console(file=screen), lambda: Recorded(sent=0, waiting=0)) as progress:
        progress.show(EMPTY)
        progress.show(replace(EMPTY, ended=(end,), ended_count=1))
    assert screen.getvalue() == "[1/4] net seed 1: finished, test error 1.41 %\n"


def test_a_second_driver_is_told_who_holds_the_sweep(tmp_path: Path) -> None:
    lock = tmp_path / "driver.lock"
    with locked(lock), pytest.raises(UsageError, match=f"process {os.getpid()} on "), locked(lock):
        pass


def test_a_lock_is_free_again_when_its_holder_was_killed(tmp_path: Path) -> None:
    lock = tmp_path / "driver.lock"
    holder = (
        "import sys, time; from pathlib import Path; from harness.launch.lock import lock_fault, locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holder, str(lock)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(UsageError), locked(lock):
            pass
        process.kill()
    with locked(lock):
        pass


def test_a_shape_takes_shares_of_gpus_only_where_the_device_is_one() -> None:
    scale = Scale(workers=2, gpus_per_worker=0.5, device="cuda")
    on_gpus = Shape(workers=2, device="cuda", cpus_per_worker=1, gpus_per_worker=0.5)
    assert shape_of(scale) == on_gpus
    assert shape_of(replace(scale, device="cpu")) == replace(on_gpus, device="cpu", gpus_per_worker=0.0)


def test_only_a_group_of_several_workers_can_be_spread() -> None:
    assert shape_of(Scale(workers=2, placement="spread", device="cpu")).placement == "spread"
    assert shape_of(Scale(placement="spread", device="cpu")) == shape_of(Scale(device="cpu"))


def test_the_state_of_a_checkout_is_its_commit_and_whether_tracked_files_changed(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert git_state(tmp_path) == {"git_commit": None, "git_dirty": None}
    git("init", "-q")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    (tmp_path / "untracked").write_text("not ours")
    assert git_state(tmp_path) == {"git_commit": commit, "git_dirty": False}
    (tmp_path / "file").write_text("two")
    assert git_state(tmp_path) == {"git_commit": commit, "git_dirty": True}
