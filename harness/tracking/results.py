"""Results that MLflow holds of one sweep, as tidy frames: the only source of reports."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.errors import SweepNotFound
from harness.schema import (
    ENVIRONMENT_ARTIFACT,
    KIND_SWEEP,
    KIND_TRIAL,
    METRICS,
    PLAN_ARTIFACT,
    REPORT_ARTIFACT,
    TRIALS_ARTIFACT,
    WORKLOAD_ARTIFACT,
    Outcome,
    Tag,
    current_key,
)
from harness.tracking import activity, frames, sweeps
from harness.tracking.runs import by_trial
from harness.tracking.tracker import Point, RunRecord, Status
from harness.tracking.waiting import waiting_for_mlflow

if TYPE_CHECKING:
    from harness.tracking.mlflow_reader import MlflowReader

STATUS_WORDS: dict[Status, str] = {
    "RUNNING": "running",
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "stopped",
}


@dataclass(frozen=True, kw_only=True)
class SweepResults:
    """Results of one sweep. Missing values are NaN or None, never zero."""

    sweep_id: str
    name: str
    """Name of the parent run, readable and unique."""
    experiment: str
    run_id: str
    """Id of the parent run."""
    status: str
    """Status of the sweep: `running`, `finished`, `failed` or `stopped`."""
    description: str
    workload_text: str
    plan: Mapping[str, Any]
    environment: Mapping[str, Any]
    """Environment of the driver: versions, host, git commit and whether the tree was dirty."""
    started_ms: int
    ended_ms: int | None
    trials: pd.DataFrame
    """One row for each trial of the sweep's list, in the list's order, including trials that never ran.

    Columns: trial_id, cell_id, label, seed, run_id, outcome (an `Outcome` value, `running`, or `missing`), reason,
    attempt; every param (`model.depth`, `recipe.lr`, ...; numbers as numbers); every single metric of
    `harness.schema.METRICS` that any trial has (`final/test_error_pct`, ...); every tag of the run that is not MLflow's
    own (`device.name`, `version.torch`, ...).
    """
    curves: pd.DataFrame
    """Every series in long form: trial_id, key, epoch, value, ordered by trial, key and epoch; one row per epoch."""
    activity: pd.DataFrame
    """Activity of devices and hosts over time in long form, for the longest trial of each depth.

    Columns: trial_id, node, source (`gpu_0`, `host`), quantity (of `harness.schema.ACTIVITIES`), elapsed_s, value; at
    most 100 points per series.
    """


def load_sweep(tracking_uri: str, sweep: str | None = None, experiment: str | None = None) -> SweepResults:
    """Return one sweep by name, sweep id, run id or the unambiguous beginning of one; None is the newest of the store.

    Several experiments may hold one sweep, of which `experiment` names one.

    Raises:
        SweepNotFound: there is none, or several match.
        TrackingUnreachable: the store does not answer.
    """
    with waiting_for_mlflow(tracking_uri, "to give a sweep's results"):
        return _load_sweep(tracking_uri, sweep, experiment)


def _load_sweep(tracking_uri: str, sweep: str | None, experiment: str | None) -> SweepResults:
    reader = _reader(tracking_uri)
    among = [each for each in sweeps.all_sweeps(reader) if experiment in (None, each.experiment)]
    found = sweeps.choose(among, sweep)
    texts = _texts(reader, found)
    listed = json.loads(texts[TRIALS_ARTIFACT])
    trials = {trial["id"]: trial for trial in listed["trials"]}
    runs = _runs(reader, found, listed["reused"])
    run_ids = {trial_id: runs[trial_id].run_id for trial_id in trials if trial_id in runs}
    rows = frames.trials(list(trials.values()), runs)
    return SweepResults(
        sweep_id=found.sweep_id,
        name=found.run.name,
        experiment=found.experiment,
        run_id=found.run.run_id,
        status=STATUS_WORDS[found.run.status],
        description=listed["description"],
        workload_text=texts[WORKLOAD_ARTIFACT],
        plan=json.loads(texts[PLAN_ARTIFACT]),
        environment=json.loads(texts[ENVIRONMENT_ARTIFACT]),
        started_ms=found.run.start_ms,
        ended_ms=None if found.run.status == "RUNNING" else found.run.end_ms,
        trials=rows,
        curves=frames.curves(run_ids, _points(reader, [runs[trial_id] for trial_id in run_ids])),
        activity=_activity(reader, rows, runs),
    )


def list_sweeps(tracking_uri: str) -> pd.DataFrame:
    """List every sweep, newest first: name, sweep_id, experiment, status, started_ms, ended_ms, run_id."""
    with waiting_for_mlflow(tracking_uri, "to list its sweeps"):
        listed = sweeps.all_sweeps(_reader(tracking_uri))
    rows = [
        {
            "name": found.run.name,
            "sweep_id": found.sweep_id,
            "experiment": found.experiment,
            "status": STATUS_WORDS[found.run.status],
            "started_ms": found.run.start_ms,
            "ended_ms": None if found.run.status == "RUNNING" else found.run.end_ms,
            "run_id": found.run.run_id,
        }
        for found in listed
    ]
    columns = ["name", "sweep_id", "experiment", "status", "started_ms", "ended_ms", "run_id"]
    return pd.DataFrame(rows, columns=columns)


def finished_trials(
    tracking_uri: str, experiment: str, trial_ids: Collection[str], sweep_id: str | None = None
) -> dict[str, str]:
    """Return trial id -> run id of the newest run with a result, for those of the trials that have one.

    Runs are searched in the sweep of the given id, or in the whole experiment if no id is given.
    """
    query = f"tags.`{Tag.KIND}` = '{KIND_TRIAL}' and attributes.status = 'FINISHED'"
    query += "" if sweep_id is None else f" and tags.`{Tag.SWEEP_ID}` = '{sweep_id}'"
    wanted = set(trial_ids)
    newest: dict[str, str] = {}
    for run in _search(tracking_uri, experiment, query):
        trial_id = run.tags.get(Tag.TRIAL_ID, "")
        if trial_id in wanted and _is_result(run):
            newest.setdefault(trial_id, run.run_id)
    return newest


def running_at(tracking_uri: str, experiment: str, sweep_id: str) -> str | None:
    """Return the place of a running sweep's files, `host:folder`; None if it is not recorded as running or has none."""
    query = f"tags.`{Tag.KIND}` = '{KIND_SWEEP}' and tags.`{Tag.SWEEP_ID}` = '{sweep_id}'"
    runs = _search(tracking_uri, experiment, f"{query} and attributes.status = 'RUNNING'")
    return next((run.tags[Tag.STORAGE] for run in runs if Tag.STORAGE in run.tags), None)


def _search(tracking_uri: str, experiment: str, query: str) -> list[RunRecord]:
    """Return the runs of an experiment that a query finds, the newest first; none if there is no such experiment."""
    from harness.tracking.mlflow_store import record

    with waiting_for_mlflow(tracking_uri, "to find earlier runs"):
        reader = _reader(tracking_uri)
        experiment_id = reader.experiment_id(experiment)
        if experiment_id is None:
            return []
        return [record(run) for run in reader.search([experiment_id], query, newest_first=True)]


def log_report(tracking_uri: str, run_id: str, folder: Path, note: str = "") -> None:
    """Add a report's folder to the artifacts of its sweep's run, as `report`.

    Args:
        tracking_uri: the resolved URI.
        run_id: id of the parent run.
        folder: folder with the report's files.
        note: Markdown; with links to the report and the trials it becomes the run's description in MLflow's UI.
    """
    from harness.tracking import ui_links
    from harness.tracking.mapping import MAX_TAG_CHARS, NOTE_TAG, cut
    from harness.tracking.mlflow_tracker import MlflowTracker

    with waiting_for_mlflow(tracking_uri, "to take the report", f"Ctrl-C ends this; the report is in {folder}."):
        tracker = MlflowTracker(tracking_uri, tries=3, create=False)
        tracker.log_folder(run_id, folder, REPORT_ARTIFACT)
        if note:
            experiment_id = tracker.experiment_of(run_id)
            tracker.tag_experiment(experiment_id, ui_links.trials_view(run_id))
            pages = ui_links.report(experiment_id, run_id), ui_links.trials(experiment_id, run_id)
            described = cut("**[The report]({})** · **[The trials]({})**\n\n".format(*pages) + note, MAX_TAG_CHARS)
            tracker.log(run_id, points=(), params={}, tags={NOTE_TAG: described})


def _reader(tracking_uri: str) -> MlflowReader:
    """Return a reader. MLflow is imported here, when it is first needed, because that takes seconds."""
    from harness.tracking.mlflow_reader import MlflowReader

    return MlflowReader(tracking_uri)


def _is_result(run: RunRecord) -> bool:
    return run.tags.get(Tag.OUTCOME) in (Outcome.FINISHED, Outcome.DIVERGED)


def _texts(reader: MlflowReader, found: sweeps.StoredSweep) -> dict[str, str]:
    try:
        return reader.texts(found.run.run_id, (WORKLOAD_ARTIFACT, TRIALS_ARTIFACT, PLAN_ARTIFACT, ENVIRONMENT_ARTIFACT))
    except FileNotFoundError as error:
        raise SweepNotFound(
            f"sweep {found.run.name!r} has not all of its files in the tracking store. Missing: {error}. What was not "
            "sent yet is sent by `harness sync`, and all of it again if `outbox.cursor.json` in the sweep's folder of "
            "the storage is removed before"
        ) from error


def _runs(reader: MlflowReader, found: sweeps.StoredSweep, reused: Mapping[str, str]) -> dict[str, RunRecord]:
    """Return the run of each trial: the run of this sweep if it has a result, else the reused run of another sweep."""
    own = by_trial(reader.runs_of_sweep(found.experiment_id, found.sweep_id))
    runs = {trial_id: records[0] for trial_id, records in own.items() if trial_id is not None}
    wanted = {trial: run_id for trial, run_id in reused.items() if trial not in runs or not _is_result(runs[trial])}
    borrowed = reader.runs_by_id(found.experiment_id, sorted(set(wanted.values())))
    return {**runs, **{trial: borrowed[run_id] for trial, run_id in wanted.items() if run_id in borrowed}}


def _points(reader: MlflowReader, runs: Sequence[RunRecord]) -> Iterator[tuple[str, Point]]:
    """Yield every point of every series, with its run's id, under current and former keys."""
    series = {metric.key for metric in METRICS.values() if metric.series}
    for key in sorted({key for run in runs for key in run.metrics if current_key(key) in series}):
        yield from reader.history(sorted({run.run_id for run in runs if key in run.metrics}), key)


def _activity(reader: MlflowReader, trials: pd.DataFrame, runs: Mapping[str, RunRecord]) -> pd.DataFrame:
    """Read the activity of the few trials that are shown: one request per series, however large the sweep is."""
    watched = {trial_id: run for trial_id, run in runs.items() if any(map(activity.series_of, run.metrics))}
    shown = [watched[trial_id] for trial_id in activity.shown_trials(trials[trials["trial_id"].isin(list(watched))])]
    keys = sorted({key for run in shown for key in run.metrics if activity.series_of(key)})
    points = [pair for key in keys for pair in reader.history([run.run_id for run in shown if key in run.metrics], key)]
    return activity.frame({run.tags[Tag.TRIAL_ID]: run.run_id for run in shown}, points)
