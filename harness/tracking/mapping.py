"""Conversion of events to changes of MLflow runs. Pure: it defines everything that readers of MLflow find."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.events import ArtifactWritten, EpochEnded, Event, Monitored, SweepStarted, TrialEnded, TrialStarted
from harness.schema import KIND_SWEEP, KIND_TRIAL, Outcome, Tag
from harness.tracking.tracker import DatasetInput, Point, Status

OfTrial = TrialStarted | EpochEnded | ArtifactWritten | Monitored | TrialEnded

RUNNING = "running"
"""Value of the outcome tag until a trial has its final outcome."""

PARENT_TAG = "mlflow.parentRunId"
NOTE_TAG = "mlflow.note.content"
MLFLOW_COMMIT_TAG = "mlflow.source.git.commit"
"""MLflow's own tag name, which fills a column of its UI."""
MAX_PARAM_CHARS = 6000
MAX_TAG_CHARS = 5000
DIGEST_CHARS = 12

STATUS_OF_OUTCOME: dict[Outcome, Status] = {
    Outcome.FINISHED: "FINISHED",
    Outcome.DIVERGED: "FINISHED",
    Outcome.FAILED: "FAILED",
    Outcome.OUT_OF_MEMORY: "FAILED",
    Outcome.TIMED_OUT: "FAILED",
    Outcome.INFEASIBLE: "FAILED",
    Outcome.STOPPED: "KILLED",
}

STATUS_OF_SWEEP: dict[str, Status] = {"finished": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}

NOT_ENDED = "the sweep ended before this trial did"


@dataclass(kw_only=True)
class RunChange:
    """Changes that some events of one trial make to its run."""

    trial_id: str
    start_ms: int
    """Time of the first of these events: the start of the run, if the run does not exist yet."""
    points: list[Point] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    """Path below the trial's folder -> attempt that wrote it."""
    status: Status | None = None
    """New status of the run; None leaves it unchanged."""
    end_ms: int | None = None


def fold(events: Iterable[Event]) -> list[RunChange]:
    """Return the changes that the events of trials make, one per trial, in the order in which the trials appear."""
    changes: dict[str, RunChange] = {}
    for event in events:
        if isinstance(event, OfTrial):
            _add(changes.setdefault(event.trial_id, RunChange(trial_id=event.trial_id, start_ms=event.time_ms)), event)
    return list(changes.values())


def _add(change: RunChange, event: OfTrial) -> None:
    match event:
        case TrialStarted():
            change.tags |= {key: cut(value, MAX_TAG_CHARS) for key, value in event.tags.items()}
            change.tags |= {Tag.ATTEMPT: str(event.attempt), Tag.OUTCOME: RUNNING}
            change.status, change.end_ms = "RUNNING", None
        case EpochEnded():
            change.points += _points(event.values, event.time_ms, event.epoch)
        case Monitored():
            for point in event.points:
                change.points += _points(point["values"], point["time_ms"], point["step"])
            change.tags |= {key: cut(value, MAX_TAG_CHARS) for key, value in event.tags.items()}
        case ArtifactWritten():
            change.files[event.path] = event.attempt
        case TrialEnded():
            change.points += _points(event.results, event.time_ms, 0)
            change.tags |= {Tag.ATTEMPT: str(event.attempt), Tag.REASON: _reason(event)}
            if event.final:
                change.tags[Tag.OUTCOME] = event.outcome.value
                change.status, change.end_ms = STATUS_OF_OUTCOME[event.outcome], event.time_ms


def _points(values: Mapping[str, float], time_ms: int, step: int) -> list[Point]:
    return [Point(key, value, time_ms, step) for key, value in values.items()]


def _reason(event: TrialEnded) -> str:
    reason = " ".join(event.reason.split())
    return cut(reason if event.final else f"attempt {event.attempt}: {event.outcome.value}: {reason}", MAX_TAG_CHARS)


class SweepFacts:
    """Tags, names and params of a sweep's runs, taken from a `SweepStarted`."""

    def __init__(self, started: SweepStarted) -> None:
        self.started = started
        self._trials = {trial["id"]: trial for trial in started.trials}

    def sweep_tags(self) -> dict[str, str]:
        """Return the tags that the parent run has from its creation on."""
        return {Tag.KIND: KIND_SWEEP, Tag.SWEEP_ID: self.started.sweep_id}

    def sweep_notes(self) -> dict[str, str]:
        """Return the tags that are added to the parent run each time the sweep starts."""
        note = {NOTE_TAG: cut(self.started.description, MAX_TAG_CHARS)} if self.started.description else {}
        place: dict[str, str] = {Tag.STORAGE: where} if (where := self.started.storage) else {}
        return {**note, **place, **self._git_tags()}

    def trial_name(self, trial_id: str) -> str:
        """Return the name of a trial's run, such as `resnet-20-A seed 1`."""
        trial = self._trial(trial_id)
        return f"{trial['label']} seed {trial['seed']}" if trial else trial_id

    def trial_tags(self, trial_id: str, parent_run_id: str) -> dict[str, str]:
        """Return the tags that a trial's run has from its creation on."""
        trial = self._trial(trial_id)
        known = {Tag.CELL_ID: trial["cell_id"], Tag.LABEL: trial["label"]} if trial else {}
        return {
            PARENT_TAG: parent_run_id,
            Tag.KIND: KIND_TRIAL,
            Tag.SWEEP_ID: self.started.sweep_id,
            Tag.TRIAL_ID: trial_id,
            **known,
            Tag.OUTCOME: RUNNING,
            **self._git_tags(),
        }

    def trial_params(self, trial_id: str) -> dict[str, str]:
        """Return every resolved setting of a trial."""
        settings: Mapping[str, Any] = self._trial(trial_id).get("settings", {})
        return {key: cut(str(value), MAX_PARAM_CHARS) for key, value in settings.items()}

    def trial_dataset(self, trial_id: str) -> DatasetInput | None:
        """Return the data set that a trial was trained and tested on; None if an older outbox does not name it."""
        record = self._trial(trial_id).get("dataset")
        return None if record is None else dataset_input(record)

    def _trial(self, trial_id: str) -> Mapping[str, Any]:
        return self._trials.get(trial_id, {})

    def _git_tags(self) -> dict[str, str]:
        return git_tags(self.started.environment)


def dataset_input(record: Mapping[str, Any]) -> DatasetInput:
    """Return a data set's record in MLflow's form. The whole digest is a param of the run."""
    root, origin = record["root"], {"origin": record["origin"]}
    source = {"tags": {}, **origin} if root is None else {"uri": root, **origin}
    return DatasetInput(
        name=record["name"],
        digest=record["digest"][:DIGEST_CHARS],
        source_type="code" if root is None else root.partition("://")[0] if "://" in root else "local",
        source=json.dumps(source),
        profile=json.dumps(record["profile"]),
    )


def git_tags(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return commit and dirtiness of the tree, if the environment has them (`git_commit`, `git_dirty`)."""
    commit, dirty = environment.get("git_commit"), environment.get("git_dirty")
    tags: dict[str, str] = {}
    if commit is not None:
        tags |= {Tag.GIT_COMMIT: str(commit), MLFLOW_COMMIT_TAG: str(commit)}
    if dirty is not None:
        tags[Tag.GIT_DIRTY] = str(dirty).lower()
    return tags


def cut(text: str, limit: int) -> str:
    """Return the text, cut and marked if it is longer than MLflow accepts."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
