"""A report that cannot be made, or not be added to MLflow, hides neither the outcome of the trials nor its own path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Done, Harness, folder, harness

__all__ = ["folder", "harness"]  # fixtures

SMALL = """\
name: small
dataset: digits
matrix: {model: resnet_cifar, depth: 8, width: 4}
recipe: {name: quick, epochs: 1}
seeds: 1
"""


@pytest.fixture
def again(harness: Harness, folder: Path) -> Harness:
    """Run a workload to its end without a report, and return the same command, which has only the report left to do."""
    (folder / "small.yaml").write_text(SMALL)
    done = harness("run", "small.yaml", "--launcher", "inline", "--no-report")
    assert done.code == 0, done.err

    def run(*more: str) -> Done:
        return harness("run", "small.yaml", "--launcher", "inline", *more)

    return run


def no_place_for_the_report(folder: Path) -> None:
    """Put a file where MLflow would make the folder of the report."""
    [artifacts] = {path.parent for path in folder.glob("mlruns/*/*/artifacts/trials.json")}
    (artifacts / "report").write_text("no folder")


def test_a_report_that_cannot_be_added_to_mlflow_is_a_warning(again: Harness, harness: Harness, folder: Path) -> None:
    no_place_for_the_report(folder)
    done = again("--json")
    outcome = json.loads(done.out)
    assert (done.code, outcome["exit_code"]) == (0, 0)
    assert Path(outcome["report"]).is_file()
    assert "is not in MLflow: report is not stored" in done.err
    assert f"Report: {outcome['report']}" in done.err

    plain = harness("report", "--out", "other")
    assert plain.code == 0
    assert "is not in MLflow: report is not stored" in plain.err
    assert "Report: other/small-" in plain.err
    made = harness("report", "--out", "third", "--json")
    assert (made.code, Path(json.loads(made.out)["report"]).is_file()) == (0, True)


def test_a_report_that_cannot_be_made_leaves_the_outcome_of_the_trials(again: Harness, folder: Path) -> None:
    [sweep] = (folder / "runs").glob("small-*/")
    (folder / "out" / sweep.name / "index.html").mkdir(parents=True)
    done = again("--json")
    outcome = json.loads(done.out)
    assert (done.code, outcome["exit_code"], outcome["report"]) == (2, 2, None)
    assert set(outcome["outcomes"].values()) == {"finished"}
    assert "No report could be made: the report cannot be written to out/small-" in done.err
    assert f"harness report {sweep.name}" in done.err


def test_a_fault_of_a_library_in_a_report_leaves_the_outcome_of_the_trials(
    again: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("at http://me:planted@host")

    monkeypatch.setattr("reports.output.render.report_files", fails)
    done = again("--json")
    assert (done.code, json.loads(done.out)["report"]) == (1, None)
    assert "No report could be made: ZeroDivisionError: at http://***@host." in done.err


def test_a_sweep_that_another_experiment_has_too_is_reported_on(again: Harness, folder: Path) -> None:
    done = again("--experiment", "other", "--storage", "elsewhere", "--json")
    assert (done.code, json.loads(done.out)["exit_code"]) == (0, 0), done.err
    assert Path(json.loads(done.out)["report"]).is_file()
