"""Events from the outbox into MLflow's SQLite store and back."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import mlflow.data
import pytest
from mlflow.tracking import MlflowClient

from harness.errors import SweepNotFound, UsageError
from harness.events import SweepEnded, TrialEnded, TrialStarted
from harness.schema import Outcome
from harness.tracking.outbox import Outbox
from harness.tracking.prepare import prepare
from harness.tracking.results import finished_trials, list_sweeps, load_sweep, log_report
from harness.tracking.sample import Sample, trial_id
from tests.support.environment import ROOT
from tests.support.tracked_sweep import SAMPLE, NewSweep, Sweep, check_nan_and_infinity, essence

pytestmark = pytest.mark.integration


def test_a_sweep_comes_back_as_it_was_sent(database: Path, new_sweep: NewSweep) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    progress = sweep.recorder("sqlite:///mlflow.db").forward()
    assert (progress.waiting, progress.error, progress.problems) == (0, None, ())

    found = load_sweep("sqlite:///mlflow.db")
    assert (found.sweep_id, found.name, found.experiment) == ("5a3b1e00", "sample-1", "sample")
    assert (found.status, found.started_ms, found.ended_ms) == ("finished", 1_700_000_000_000, 1_700_000_010_001)
    assert (found.description, found.workload_text) == ("An **invented** sweep.", "name: sample\n")
    assert found.plan == {"trials": 4}
    assert found.environment["git_dirty"] is False

    assert list(found.trials["trial_id"]) == [trial_id(index) for index in range(4)]
    assert list(found.trials["outcome"]) == ["finished"] * 4
    assert list(found.trials["model.depth"]) == [8, 8, 8, 14]
    assert list(found.trials["final/test_error_pct"]) == [10.0, 11.0, 12.0, 13.0]
    assert list(found.trials["device.name"]) == ["Abacus 9"] * 4

    one = found.curves[(found.curves["trial_id"] == trial_id(1)) & (found.curves["key"] == "train/error_pct")]
    assert list(one["epoch"]) == [1, 2, 3]
    assert list(one["value"]) == [46.0, 31.0, 23.5]
    assert len(found.curves) == 4 * 3 * 6
    assert len(list(database.parent.glob("mlruns/*/*/artifacts/steps.parquet"))) == 4


def test_mlflow_shows_the_data_set_of_each_run_and_can_read_its_source(database: Path, new_sweep: NewSweep) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    sweep.recorder("sqlite:///mlflow.db").forward()
    client = MlflowClient("sqlite:///mlflow.db")
    for run_id in load_sweep("sqlite:///mlflow.db").trials["run_id"]:
        [found] = client.get_run(run_id).inputs.dataset_inputs
        assert (found.dataset.name, found.dataset.digest) == ("digits", "0123456789ab")
        assert json.loads(found.dataset.profile)["train_images"] == 1442
        assert mlflow.data.get_source(found).to_dict() == {"tags": {}}
        assert [(tag.key, tag.value) for tag in found.tags] == [("mlflow.data.context", "training and test")]


def test_sending_from_the_start_again_changes_nothing(database: Path, new_sweep: NewSweep) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    recorder = sweep.recorder("sqlite:///mlflow.db")
    recorder.forward()
    before = essence(database)
    recorder.rewind()
    assert recorder.forward().error is None
    assert essence(database) == before


def test_a_crash_between_sending_and_the_cursor_changes_nothing(
    database: Path, new_sweep: NewSweep, tmp_path: Path
) -> None:
    events = list(SAMPLE.events())
    undisturbed = new_sweep(SAMPLE)
    undisturbed.write(*events)
    undisturbed.recorder("sqlite:///mlflow.db").forward()
    expected = essence(database)

    other = Path(shutil.copy(database, tmp_path / "other.db"))
    with closing(sqlite3.connect(other)) as connection:
        for table in ("latest_metrics", "metrics", "params", "tags", "runs"):
            connection.execute(f"delete from {table}")
        connection.commit()
    undisturbed.folder.outbox.unlink()
    undisturbed.folder.cursor.unlink()
    crashing = Sweep(undisturbed.folder, Outbox(undisturbed.folder.outbox))
    for number, event in enumerate(events):
        crashing.write(event)
        kept = undisturbed.folder.cursor.read_bytes() if undisturbed.folder.cursor.exists() else None
        assert crashing.recorder(f"sqlite:///{other}").forward().error is None
        if number % 3 == 0 and kept is not None:
            undisturbed.folder.cursor.write_bytes(kept)  # sent, but the cursor was not written
    crashing.recorder(f"sqlite:///{other}").forward()
    assert essence(other) == expected


def test_nan_and_infinity_come_back(database: Path, new_sweep: NewSweep) -> None:
    check_nan_and_infinity("sqlite:///mlflow.db", new_sweep)


def test_an_epoch_that_ran_again_after_a_resume_counts_once(database: Path, new_sweep: NewSweep) -> None:
    sample = Sample(trials=1)
    sweep = new_sweep(sample)
    first = sample.epoch(0, 1)
    again = replace(first, attempt=2, values={"test/loss": 0.25}, time_ms=first.time_ms + 5_000)
    sweep.write(sample.started(), TrialStarted(trial_id=first.trial_id, attempt=1, tags={}, time_ms=1), first, again)
    sweep.recorder("sqlite:///mlflow.db").forward()
    curves = load_sweep("sqlite:///mlflow.db").curves
    assert list(curves[curves["key"] == "test/loss"]["value"]) == [0.25]


def test_what_an_earlier_sweep_finished_is_found_and_used(database: Path, new_sweep: NewSweep) -> None:
    uri = "sqlite:///mlflow.db"
    assert finished_trials(uri, "sample", [trial_id(0)]) == {}
    for name, sweep_id, start_ms in (("old", "0001", 1_000_000), ("new", "0002", 2_000_000)):
        sample = Sample(trials=2, name=name, sweep_id=sweep_id, start_ms=start_ms)
        sweep = new_sweep(sample)
        sweep.write(*sample.events())
        sweep.recorder(uri).forward()
    newest = load_sweep(uri, "new").trials.set_index("trial_id")["run_id"].to_dict()
    assert finished_trials(uri, "sample", [*newest, trial_id(7)]) == newest

    third = Sample(trials=4, name="third", sweep_id="0003", start_ms=3_000_000)
    sweep = new_sweep(third)
    sweep.write(
        replace(third.started(), reused={**newest, trial_id(3): "0" * 32}),
        TrialStarted(trial_id=trial_id(2), attempt=1, tags={}, time_ms=1),
        TrialEnded(trial_id=trial_id(2), attempt=1, outcome=Outcome.FAILED, reason="worker died", time_ms=2),
        SweepEnded(status="failed", time_ms=3_900_000),
    )
    sweep.recorder(uri).forward()
    found = load_sweep(uri)
    assert found.status == "failed"
    assert list(found.trials["outcome"]) == ["finished", "finished", "failed", "missing"]
    assert list(found.trials["run_id"])[:2] == list(newest.values())
    assert list(found.trials["final/test_error_pct"])[:2] == [10.0, 11.0]
    assert set(found.curves["trial_id"]) == {trial_id(0), trial_id(1)}
    assert finished_trials(uri, "sample", [trial_id(2)]) == {}


def test_a_result_elsewhere_is_shown_in_the_place_of_a_stopped_run(database: Path, new_sweep: NewSweep) -> None:
    uri = "sqlite:///mlflow.db"
    stopped = Sample(trials=1, name="stopped", sweep_id="0001", start_ms=3_000_000)
    other = Sample(trials=1, name="other", sweep_id="0002", start_ms=2_000_000)
    sweep = new_sweep(other)
    sweep.write(*other.events())
    sweep.recorder(uri).forward()
    end = TrialEnded(trial_id=trial_id(0), attempt=1, outcome=Outcome.STOPPED, time_ms=3_000_100)
    sweep = new_sweep(stopped)
    sweep.write(stopped.started(), end, SweepEnded(status="stopped", time_ms=3_000_200))
    sweep.recorder(uri).forward()
    assert list(load_sweep(uri, "stopped").trials["outcome"]) == ["stopped"]

    reused = finished_trials(uri, "sample", [trial_id(0)])
    sweep.write(replace(stopped.started(), reused=reused), SweepEnded(status="finished", time_ms=3_000_400))
    sweep.recorder(uri).forward()
    found = load_sweep(uri, "stopped")
    assert list(found.trials["outcome"]) == ["finished"]
    assert list(found.trials["run_id"]) == list(reused.values())
    assert list(found.trials["final/test_error_pct"]) == [10.0]
    assert set(found.curves["trial_id"]) == {trial_id(0)}


def test_sweeps_are_listed_newest_first_and_found_by_any_of_their_names(database: Path, new_sweep: NewSweep) -> None:
    uri = "sqlite:///mlflow.db"
    with pytest.raises(SweepNotFound, match="holds no sweep yet"):
        load_sweep(uri)
    assert list_sweeps(uri).empty
    for name, sweep_id, start_ms in (("first", "0001", 1_000_000), ("second", "0002", 2_000_000)):
        sample = Sample(trials=1, name=name, sweep_id=sweep_id, start_ms=start_ms, experiment=f"of-{name}")
        sweep = new_sweep(sample)
        sweep.write(sample.started())
        sweep.recorder(uri).forward()
    listed = list_sweeps(uri)
    assert list(listed["name"]) == ["second", "first"]
    assert list(listed["experiment"]) == ["of-second", "of-first"]
    assert list(listed["status"]) == ["running", "running"]
    for word in ("first", "fir", "0001", listed["run_id"][1]):
        assert load_sweep(uri, word).name == "first"
    with pytest.raises(SweepNotFound, match="the nearest: second"):
        load_sweep(uri, "secnod")


def test_a_report_is_logged_to_its_sweep(database: Path, new_sweep: NewSweep, tmp_path: Path) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(SAMPLE.started())
    sweep.recorder("sqlite:///mlflow.db").forward()
    run_id = load_sweep("sqlite:///mlflow.db").run_id
    (tmp_path / "out" / "figures").mkdir(parents=True)
    (tmp_path / "out" / "index.html").write_text("<p>")
    (tmp_path / "out" / "figures" / "error.svg").write_text("<svg/>")
    log_report("sqlite:///mlflow.db", run_id, tmp_path / "out")
    [report] = tmp_path.glob(f"mlruns/*/{run_id}/artifacts/report")
    assert (report / "index.html").read_text() == "<p>"
    assert (report / "figures" / "error.svg").read_text() == "<svg/>"


def test_a_deleted_experiment_says_how_to_restore_it(database: Path, new_sweep: NewSweep) -> None:
    uri = prepare("sqlite:///mlflow.db", "sample")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("update experiments set lifecycle_stage = 'deleted' where name = 'sample'")
        connection.commit()
    with pytest.raises(UsageError, match="mlflow experiments restore --experiment-id"):
        prepare(uri, "sample")
    sweep = new_sweep(SAMPLE)
    sweep.write(SAMPLE.started())
    progress = sweep.recorder(uri).forward()
    assert (progress.sent, progress.waiting) == (0, 1)
    assert "restore" in str(progress.error)


def test_preparing_and_recording_print_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_sweep: NewSweep
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    script = (
        "import sys; from pathlib import Path\n"
        "from harness.storage import SweepFolder; from harness.tracking.outbox import Outbox\n"
        "from harness.tracking.prepare import prepare; from harness.tracking.recorder import Recorder\n"
        "from harness.tracking.results import load_sweep\n"
        "uri = prepare('sqlite:///mlflow.db', 'sample'); folder = SweepFolder(Path(sys.argv[1]))\n"
        "progress = Recorder(Outbox(folder.outbox), folder.cursor, uri, folder).forward()\n"
        "assert progress.error is None, progress.error\n"
        "assert load_sweep(uri).status == 'finished'\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(sweep.folder.root)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
