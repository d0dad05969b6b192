"""A sweep with an outbox and no training, and the content of an MLflow store."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from harness.events import EpochEnded, Event, TrialEnded, TrialStarted
from harness.schema import Outcome
from harness.storage import SweepFolder
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import Recorder
from harness.tracking.results import load_sweep
from harness.tracking.sample import Sample, trial_id

NOT_MINUTES_S = 60
"""Limit in seconds. MLflow's own settings wait four minutes, ours give up within seconds; a busy machine needs more."""
SAMPLE = Sample(trials=4, epochs=3, files=("steps.csv",))


@dataclass
class Sweep:
    """A sweep's folder and its outbox."""

    folder: SweepFolder
    outbox: Outbox

    def write(self, *events: Event) -> None:
        for event in events:
            self.outbox.append(event)

    def recorder(self, uri: str) -> Recorder:
        return Recorder(self.outbox, self.folder.cursor, uri, self.folder)


NewSweep = Callable[[Sample], Sweep]
"""Makes the folder and the outbox of a sample."""


def essence(database: Path, experiment: str = "sample") -> dict[str, list[object]]:
    """Return the store's whole content of an experiment, with names in place of MLflow's random ids."""
    with closing(sqlite3.connect(database)) as connection:

        def rows(query: str) -> list[tuple[object, ...]]:
            return connection.execute(query, (experiment,)).fetchall()

        its_runs = "(select run_uuid from runs join experiments using (experiment_id) where experiments.name = ?)"
        name = {
            run_id: f"run {run}"
            for run_id, run in rows(f"select run_uuid, name from runs where run_uuid in {its_runs}")
        }
        tables = {
            "runs": "run_uuid, status, start_time, end_time, lifecycle_stage",
            "metrics": "run_uuid, key, value, timestamp, step, is_nan",
            "latest_metrics": "run_uuid, key, value, timestamp, step, is_nan",
            "params": "run_uuid, key, value",
            "tags": "run_uuid, key, value",
        }
        inputs = (
            "select destination_id, name, digest, dataset_source_type, dataset_source, dataset_profile "
            f"from inputs join datasets on source_id = dataset_uuid where destination_id in {its_runs}"
        )
        named_inputs = sorted(tuple(name.get(str(value), value) for value in row) for row in rows(inputs))
        return {"inputs": named_inputs} | {
            table: sorted(
                tuple(name.get(str(value), value) for value in row)
                for row in rows(f"select {columns} from {table} where run_uuid in {its_runs}")
            )
            for table, columns in tables.items()
        }


def check_nan_and_infinity(uri: str, new_sweep: NewSweep) -> None:
    sample = Sample(trials=1, name="diverging", sweep_id="d1")
    sweep = new_sweep(sample)
    values = {"train/loss": math.nan, "test/loss": math.inf}
    sweep.write(
        sample.started(),
        TrialStarted(trial_id=trial_id(0), attempt=1, tags={}, time_ms=1),
        EpochEnded(trial_id=trial_id(0), attempt=1, epoch=1, values=values, time_ms=2),
        TrialEnded(
            trial_id=trial_id(0),
            attempt=1,
            outcome=Outcome.DIVERGED,
            results={"final/train_loss": math.nan, "final/test_loss": math.inf},
            time_ms=3,
        ),
    )
    recorder = sweep.recorder(uri)
    assert recorder.forward().error is None
    recorder.rewind()
    assert recorder.forward().error is None
    found = load_sweep(uri, "diverging")
    row = found.trials.iloc[0]
    assert row["outcome"] == "diverged"
    assert math.isnan(row["final/train_loss"])
    assert row["final/test_loss"] == math.inf
    assert [str(value) for value in found.curves["value"]] == ["inf", "nan"]
