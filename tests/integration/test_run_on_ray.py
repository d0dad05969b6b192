"""`harness run` on Ray, from the workload file to the report.

Sweeps start a local Ray where its start, its end or its messages matter; the others run on the one that tests share.
"""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from mlflow.tracking import MlflowClient

from harness.events import EpochEnded, TrialStarted
from harness.schema import Outcome
from harness.tracking.results import load_sweep

pytestmark = pytest.mark.integration

TRIALS = 8
EPOCHS = 4


def runs(folder: Path) -> list[Any]:
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiments = [experiment.experiment_id for experiment in client.search_experiments() if experiment.name == "small"]
    return list(client.search_runs(experiments, max_results=1000))


def children(folder: Path) -> list[Any]:
    return [run for run in runs(folder) if "mlflow.parentRunId" in run.data.tags]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_trial_ends_finished_and_leaves_one_run_below_its_sweep(undisturbed: Any) -> None:
    parents = [run for run in runs(undisturbed.folder) if "mlflow.parentRunId" not in run.data.tags]
    assert [parent.info.status for parent in parents] == ["FINISHED"]
    found = children(undisturbed.folder)
    assert len(found) == TRIALS
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in found} == {parents[0].info.run_id}
    assert {run.data.tags["harness.outcome"] for run in found} == {"finished"}


def test_each_run_holds_its_settings_its_curve_and_its_results(undisturbed: Any) -> None:
    client = MlflowClient(f"sqlite:///{undisturbed.folder}/mlflow.db")
    for run in children(undisturbed.folder):
        assert run.data.params["dataset.name"] == "digits"
        assert run.data.params["recipe.epochs"] == str(EPOCHS)
        assert run.data.metrics["final/test_images"] + run.data.metrics["final/train_images"] == 1797
        curve = client.get_metric_history(run.info.run_id, "test/error_pct")
        assert [point.step for point in curve] == [1, 2, 3, 4]
        assert curve[-1].value == run.data.metrics["final/test_error_pct"]
        assert len(run.data.metrics) < 60
        assert {artifact.path for artifact in client.list_artifacts(run.info.run_id)} >= {"steps.parquet", "monitor"}
        assert 0 <= run.data.metrics["system/system_memory_usage_percentage"] <= 100  # as MLflow's own page shows it


def test_no_process_listens_beyond_loopback_or_outlives_its_sweep(undisturbed: Any) -> None:
    assert len(undisturbed.addresses) > 5, "of Ray's control store, its raylet with its agents, and the workers"
    assert {address for address in undisturbed.addresses if not address.is_loopback} == set()
    _, alive = psutil.wait_procs(undisturbed.family, timeout=15)
    assert alive == []


def test_what_the_host_did_comes_back_for_the_longest_trial_of_each_depth(undisturbed: Any) -> None:
    found = load_sweep(f"sqlite:///{undisturbed.folder}/mlflow.db")
    depth_of = dict(zip(found.trials["trial_id"], found.trials["model.depth"], strict=True))
    assert sorted(depth_of[trial_id] for trial_id in found.activity["trial_id"].unique()) == [8, 14]
    assert {"host_memory_pct"} <= set(found.activity["quantity"]) <= {"host_memory_pct", "host_cpu_pct"}
    assert found.activity["value"].between(0, 100).all()


def test_the_terminal_shows_the_errors_and_one_line_for_each_verdict(undisturbed: Any) -> None:
    out = (undisturbed.folder / "first.txt").read_text()
    for line in ("plain", "A", "2 of 2"):
        assert line in out
    assert len(re.findall(r"\b(supported|contradicted|held so far|inconclusive|not run)\b", out)) == 2


def test_the_same_command_again_runs_nothing_and_shows_the_same(undisturbed: Any) -> None:
    before = {run.info.run_id: run.info.end_time for run in children(undisturbed.folder)}
    again = undisturbed.run("run", "small.yaml")
    assert "0 to run" in again.stderr
    assert again.stdout == (undisturbed.folder / "first.txt").read_text()
    assert {run.info.run_id: run.info.end_time for run in children(undisturbed.folder)} == before


def test_the_report_made_again_from_mlflow_is_the_same_to_the_byte(undisturbed: Any, tmp_path: Path) -> None:
    undisturbed.run("report", "--out", str(tmp_path / "one"), "--no-log")
    undisturbed.run("report", "--out", str(tmp_path / "two"), "--no-log")
    one, two = files(tmp_path / "one"), files(tmp_path / "two")
    assert one == two
    names = {Path(name).name for name in one}
    assert names >= {"index.html", "report.md", "cells.csv", "trials.csv", "claims.json"}
    assert any(name.endswith(".svg") for name in names)


def test_a_killed_worker_costs_an_attempt_and_changes_no_number(local_bench: Any, undisturbed: Any) -> None:
    process = local_bench.start("run", "small.yaml", "--no-report", "--json")
    local_bench.wait_for(lambda event: isinstance(event, EpochEnded), process)
    local_bench.training_workers(process)[0].kill()
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    assert set(json.loads(out)["outcomes"].values()) == {"finished"}, "nothing but our data is on stdout"
    assert "(raylet)" not in err
    ends = local_bench.ends()
    (lost,) = [ended for ended in ends if not ended.final]
    assert re.match(r"rank 0( on [0-9.]+)? of its group died: ", lost.reason)
    final = [ended.trial_id for ended in ends if ended.final]
    assert len(final) == len(set(final)) == TRIALS
    assert max(ended.attempt for ended in ends) == 2
    assert local_bench.final_numbers() == undisturbed.final_numbers()
    assert local_bench.curves() == undisturbed.curves()
    assert [run.info.status for run in children(local_bench.folder)] == ["FINISHED"] * TRIALS


def test_a_worker_that_stands_still_is_killed_and_its_trial_goes_on_from_the_checkpoint(
    bench: Any, undisturbed: Any
) -> None:
    """SIGSTOP is the worst kind of hang: the process answers no call and ends no step."""
    process = bench.start("run", "small.yaml", "--no-report", "--stall-timeout", "40s")
    bench.wait_for(lambda event: isinstance(event, EpochEnded), process)
    bench.training_workers(process)[0].suspend()
    _, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    (lost,) = [ended for ended in bench.ends() if not ended.final]
    assert (lost.outcome, lost.attempt) == (Outcome.FAILED, 1)
    assert "no step ended for 40 s" in lost.reason
    assert bench.final_numbers() == undisturbed.final_numbers()
    assert bench.curves() == undisturbed.curves()


def test_ctrl_c_stops_and_the_same_command_goes_on_from_the_checkpoints(local_bench: Any, undisturbed: Any) -> None:
    process = local_bench.start("run", "small.yaml", "--no-report")
    local_bench.wait_for(lambda event: isinstance(event, EpochEnded), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "same command" in err
    assert "RUNNING" not in {run.info.status for run in runs(local_bench.folder)}
    assert "KILLED" in {run.info.status for run in children(local_bench.folder)}
    done = len(local_bench.final_numbers())
    assert done < TRIALS
    again = local_bench.run("run", "small.yaml", "--no-report")
    assert f"{TRIALS - done} to run" in again.stderr
    resumed = [
        event for event in local_bench.events() if isinstance(event, TrialStarted) and event.resumed_epoch is not None
    ]
    assert resumed
    assert max(event.resumed_epoch for event in resumed) > 0
    assert local_bench.curves() == undisturbed.curves()
    assert local_bench.final_numbers() == undisturbed.final_numbers()
    assert {run.info.status for run in runs(local_bench.folder)} == {"FINISHED"}


def test_two_workers_train_one_trial_and_what_never_fits_is_recorded_as_infeasible(bench: Any) -> None:
    text = """\
name: small
dataset: digits
matrix: {model: resnet_cifar, depth: 8, shortcut: A}
recipe: {name: quick, epochs: 2}
scale: {workers: [2, 64], placement: spread}
seeds: 1
"""
    bench.write(text)
    err = bench.run("run", "small.yaml", "--no-report", expect=1).stderr
    assert "64 workers" in err
    outcomes = {run.data.params["scale.workers"]: run.data.tags["harness.outcome"] for run in children(bench.folder)}
    assert outcomes == {"2": "finished", "64": "infeasible"}
    (wide,) = [run for run in children(bench.folder) if run.data.params["scale.workers"] == "2"]
    assert (wide.data.tags["group.world_size"], wide.data.tags["group.nodes"]) == ("2", "1")
    assert wide.data.tags["group.layout"].endswith(": 0 1")
    assert wide.data.metrics["final/train_images"] + wide.data.metrics["final/test_images"] == 1797


def test_more_workers_than_the_cluster_has_is_exit_code_3(bench: Any) -> None:
    bench.write("name: small\ndataset: digits\nmatrix: {model: resnet_cifar, depth: 8}\nrecipe: quick\n"
                "scale: {workers: 64}\nseeds: 1\n")  # fmt: skip
    err = bench.run("run", "small.yaml", expect=3).stderr
    assert "64 workers" in err
    assert "room for" in err
    assert "Traceback" not in err


def test_a_fresh_group_for_every_trial_gives_the_numbers_of_a_warm_one(bench: Any, undisturbed: Any) -> None:
    bench.write(bench.workload.replace("depth: [8, 14]", "depth: 8").replace("shortcut: [plain, A]", "shortcut: A")
                + "isolation: process\n")  # fmt: skip
    bench.run("run", "small.yaml", "--no-report")
    cold, warm = bench.final_numbers(), undisturbed.final_numbers()
    assert len(cold) == 2
    assert cold == {trial_id: warm[trial_id] for trial_id in cold}


def test_without_ray_the_same_trials_give_the_same_numbers(local_bench: Any, undisturbed: Any) -> None:
    local_bench.run("run", "small.yaml", "--launcher", "inline", "--no-report")
    assert local_bench.final_numbers() == undisturbed.final_numbers()
    assert local_bench.curves() == undisturbed.curves()


def test_a_poisoned_trial_fails_after_its_attempts_and_the_others_finish(bench: Any) -> None:
    """The trial cannot use its folder, since a file is in its place."""
    bench.write(bench.workload.replace("depth: [8, 14]", "depth: 8"))
    plan = json.loads(bench.run("plan", "small.yaml", "--json").stdout)
    poison = plan["trials"][0]["trial_id"]
    folder = bench.folder / "runs" / plan["sweep"] / "trials"
    folder.mkdir(parents=True)
    (folder / poison).write_text("in the way")
    bench.run("run", "small.yaml", "--no-report", "--max-attempts", "2", expect=1)
    final = {ended.trial_id: ended for ended in bench.ends() if ended.final}
    assert final[poison].outcome is Outcome.FAILED
    assert final[poison].attempt == 2
    assert {ended.outcome for trial_id, ended in final.items() if trial_id != poison} == {Outcome.FINISHED}


def test_a_trial_that_loses_a_worker_each_time_fails_after_its_attempts_and_the_others_finish(bench: Any) -> None:
    """Two workers per trial on two cores make one group, so the test knows which processes to kill."""
    bench.write("name: small\ndataset: digits\nmatrix: {model: resnet_cifar, depth: 8, width: 8}\nseeds: 1\n"
                "recipe: {name: quick, epochs: [1, 500]}\nscale: {workers: 2}\n")  # fmt: skip
    process = bench.start("run", "small.yaml", "--no-report", "--max-attempts", "2")
    for attempt in (1, 2):
        started = bench.wait_for(
            lambda event, attempt=attempt: isinstance(event, TrialStarted) and event.attempt == attempt, process
        )
        bench.training_workers(process)[0].kill()
    _, err = process.communicate(timeout=400)
    assert process.returncode == 1, err
    lost = [ended.reason for ended in bench.ends() if ended.outcome is Outcome.FAILED]
    assert len(lost) == 2
    assert all(re.match(r"rank [01]( on [0-9.]+)? of its group died: ", reason) for reason in lost), lost
    final = {ended.trial_id: ended for ended in bench.ends() if ended.final}
    poison = final.pop(started.trial_id)
    assert (poison.outcome, poison.attempt) == (Outcome.FAILED, 2)
    assert [ended.outcome for ended in final.values()] == [Outcome.FINISHED]
    assert sorted(run.info.status for run in children(bench.folder)) == ["FAILED", "FINISHED"]
