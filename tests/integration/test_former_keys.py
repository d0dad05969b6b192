"""Reports on data of earlier versions, which wrote what is measured on the test set under `val/` and `final/val_`.

The old runs and bundles are made here, by writing the former names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.events import EpochEnded, Event, SweepEnded, SweepStarted, TrialEnded
from harness.results.bundle import read_bundle, write_bundle
from harness.storage import SweepFolder
from harness.tracking.mlflow_tracker import MlflowTracker
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import Recorder
from harness.tracking.results import SweepResults, load_sweep
from harness.tracking.sample import Sample
from harness.tracking.sender import Sender
from reports.claims.assessment import assess
from reports.output.render import report_files
from reports.testing.synthetic import synthetic_sweep

pytestmark = [pytest.mark.integration]

URI = "sqlite:///mlflow.db"
LAST_OLD_EPOCH = 2


def former(key: str) -> str:
    """Return the name of a metric in earlier versions."""
    return key.replace("final/test_", "final/val_").replace("test/", "val/")


def renamed(values: Mapping[str, float]) -> dict[str, float]:
    return {former(key): value for key, value in values.items()}


def of_an_earlier_version(event: Event) -> Event:
    if isinstance(event, EpochEnded):
        return replace(event, values=renamed(event.values))
    return replace(event, results=renamed(event.results)) if isinstance(event, TrialEnded) else event


def until_the_new_version(event: Event) -> Event:
    """Return the event of a sweep that an earlier version began and this one resumed."""
    old = isinstance(event, EpochEnded) and event.epoch <= LAST_OLD_EPOCH
    return of_an_earlier_version(event) if old else event


def batches(events: Iterable[Event]) -> Iterable[list[Event]]:
    """Yield the events as a sender takes them: the start and the end of a sweep alone."""
    some: list[Event] = []
    for event in events:
        if isinstance(event, SweepStarted | SweepEnded):
            yield from [some] if some else []
            yield [event]
            some = []
        else:
            some.append(event)


def stored(name: str, events: Iterable[Event], tmp_path: Path) -> SweepResults:
    """Send events to MLflow just as they are, and read the sweep back under one name and one set of run ids."""
    sender = Sender(MlflowTracker(URI), SweepFolder(tmp_path / name))
    for some in batches(events):
        assert sender.send(some) == []
    return under_one_name(load_sweep(URI, name))


def under_one_name(found: SweepResults) -> SweepResults:
    runs = [f"run of {trial_id}" for trial_id in found.trials["trial_id"]]
    return replace(found, name="sweep", sweep_id="s", run_id="r", trials=found.trials.assign(run_id=runs))


def sample(name: str) -> Sample:
    return Sample(trials=6, epochs=4, name=name, sweep_id=name)


def test_runs_with_former_names_or_both_give_the_report_that_runs_with_todays_names_give(
    database: Path, tmp_path: Path
) -> None:
    today = stored("today", sample("today").events(), tmp_path)
    assert "final/test_error_pct" in today.trials
    for name, change in (("old", of_an_earlier_version), ("resumed", until_the_new_version)):
        found = stored(name, map(change, sample(name).events()), tmp_path)
        pd.testing.assert_frame_equal(found.curves, today.curves)
        pd.testing.assert_frame_equal(found.trials, today.trials)
        assert report_files(assess(found)) == report_files(assess(today)), name


def test_an_outbox_of_an_earlier_version_is_sent_under_todays_names(database: Path, tmp_path: Path) -> None:
    today = stored("today", sample("today").events(), tmp_path)
    folder = SweepFolder(tmp_path / "old")
    folder.make()
    outbox = Outbox(folder.outbox)
    for event in map(of_an_earlier_version, sample("old").events()):
        outbox.append(event)
    assert Recorder(outbox, folder.cursor, URI, folder).forward().waiting == 0
    experiment = MlflowTracker(URI).ensure_experiment("sample")
    runs = MlflowTracker(URI).client.search_runs([experiment], "tags.`harness.sweep_id` = 'old'")
    keys = {key for run in runs for key in run.data.metrics}
    assert {"final/test_error_pct", "test/loss"} <= keys
    assert not [key for key in keys if key.startswith(("val/", "final/val_"))]
    assert report_files(assess(under_one_name(load_sweep(URI, "old")))) == report_files(assess(today))


def with_former_names(folder: Path) -> None:
    """Rewrite a bundle as an earlier version wrote it, with its digests."""
    trials, curves = folder / "trials.parquet", folder / "curves.parquet"
    pd.read_parquet(trials).rename(columns=former).to_parquet(trials, index=False)
    points = pd.read_parquet(curves)
    points = points.assign(key=points["key"].map(former), position=points["trial_id"].map(_positions(points)))
    points.sort_values(["position", "key", "epoch"]).drop(columns="position").to_parquet(curves, index=False)
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    for name in manifest["files"]:
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _positions(points: pd.DataFrame) -> dict[str, int]:
    return {trial_id: position for position, trial_id in enumerate(points["trial_id"].unique())}


def test_a_bundle_with_former_names_gives_the_report_of_one_with_todays_names(tmp_path: Path) -> None:
    results = synthetic_sweep()
    write_bundle(results, tmp_path)
    with_former_names(tmp_path)
    assert "final/val_error_pct" in pd.read_parquet(tmp_path / "trials.parquet")
    found = read_bundle(tmp_path)
    pd.testing.assert_frame_equal(found.curves, results.curves)
    assert report_files(assess(found)) == report_files(assess(results))
