"""Ensembles of finished trials: choice of the trials, check of their weights, and evaluation of the ensemble."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, StorageError, UsageError
from harness.events import SweepStarted, TrialEnded
from harness.launch.device import with_device
from harness.schema import Outcome
from harness.storage import SweepFolder
from harness.tracking.outbox import Outbox, read_history
from harness.trial import Trial
from harness.workload.load import fingerprints, parse_workload
from harness.workload.matrix import expand

if TYPE_CHECKING:
    from harness.engine.evaluate import Evaluation

WEIGHTS = "train it again with `harness run FILE --fresh --keep-weights`, or with `keep: weights` in its workload file"


@dataclass(frozen=True)
class StoredSweep:
    """A sweep in the storage folder."""

    folder: SweepFolder
    started: SweepStarted

    @cached_property
    def ended(self) -> Mapping[str, TrialEnded]:
        """Final ends of those of its trials that ended, by trial id."""
        return read_history(Outbox(self.folder.outbox)).ends

    @cached_property
    def trials(self) -> Mapping[str, Trial]:
        """Its trials by id, made anew from its workload file; `auto` gives them for both devices, because ids differ.

        Raises:
            WorkloadError: the file is not one of this version, or its data set is not here.
        """
        workload = parse_workload(f"workload of sweep {self.started.name}", self.started.workload_text)
        resolved = (with_device(workload, "cpu"), with_device(workload, "cuda"))
        return {trial.id: trial for each in resolved for trial in expand(each, fingerprints(workload))}


@dataclass(frozen=True)
class StoredTrial:
    """A trial as one sweep holds it."""

    sweep: StoredSweep
    trial_id: str
    name: str

    @property
    def outcome(self) -> Outcome | None:
        """Outcome in this sweep; None if the trial has not ended here."""
        ended = self.sweep.ended.get(self.trial_id)
        return None if ended is None else ended.outcome

    @property
    def weights(self) -> Path:
        """File of its final weights, which need not exist."""
        return self.sweep.folder.weights(self.trial_id)


@dataclass(frozen=True, kw_only=True)
class EnsembleScore:
    """Errors on the common test set, of one member or of the whole ensemble."""

    name: str
    trial_id: str | None
    """Id of the member; None for the whole ensemble."""
    error_pct: float
    error_top5_pct: float | None
    """Top-5 error in %; None if there are only a few classes."""
    images: int
    loss: float | None
    """Loss in nats; None if it is not finite."""


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """Result of an ensemble of trials."""

    experiment: str
    dataset: Mapping[str, Any]
    """Record of the data set; see `Trial.dataset_record`."""
    members: tuple[EnsembleScore, ...]
    combined: EnsembleScore

    def record(self) -> dict[str, Any]:
        """Return the result in a form for JSON."""
        return {
            "dataset": self.dataset["name"],
            "members": [asdict(member) for member in self.members],
            "ensemble": asdict(self.combined),
        }


def make_ensemble(storage: Path, wanted: Sequence[str]) -> Ensemble:
    """Average the scores of finished trials on their common test set.

    Args:
        storage: the `--storage` of the runs that trained them.
        wanted: ids of the trials, unique beginnings of ids, or names such as `resnet-20-A seed 1`.

    Raises:
        UsageError: fewer than two trials, one that is unknown or has not finished, or several data sets.
        StorageError: the folder holds no sweep, or the weights of a trial do not exist.
        HarnessError: the data cannot be loaded.
    """
    members = find_members(list(stored_sweeps(storage)), wanted, storage)
    trials = [_rebuilt_trial(member) for member in members]
    _check_data(trials)
    try:
        *each, combined = _evaluate(members, trials)
    except (OSError, ValueError) as error:
        raise HarnessError(f"the ensemble cannot be evaluated: {error}") from error
    return Ensemble(
        experiment=members[0].sweep.started.experiment,
        dataset=trials[0].dataset_record(),
        members=tuple(_score(one, member.name, member.trial_id) for one, member in zip(each, members, strict=True)),
        combined=_score(combined, f"ensemble of {len(members)}", None),
    )


def stored_sweeps(storage: Path) -> Iterator[StoredSweep]:
    """Yield the sweeps in a storage folder.

    Raises:
        StorageError: the folder cannot be read, or holds no sweep.
    """
    try:
        folders = [SweepFolder(path) for path in sorted(storage.iterdir()) if SweepFolder(path).outbox.is_file()]
    except OSError as error:
        raise StorageError(f"storage folder {storage} cannot be read: {error.strerror}") from error
    if not folders:
        raise StorageError(f"storage folder {storage} holds no sweep; name the folder that `harness run --storage` had")
    for folder in folders:
        first = next((event for event, _ in Outbox(folder.outbox).read(skipped=lambda _message, _end: None)), None)
        if isinstance(first, SweepStarted):
            yield StoredSweep(folder, first)


def find_members(sweeps: Sequence[StoredSweep], wanted: Sequence[str], storage: Path) -> list[StoredTrial]:
    """Return the wanted trials, each from a sweep that has its weights.

    Raises:
        UsageError, StorageError: see `make_ensemble`.
    """
    candidates = [
        StoredTrial(sweep, trial["id"], f"{trial['label']} seed {trial['seed']}")
        for sweep in sweeps
        for trial in sweep.started.trials
    ]
    members = [_usable(_matching(candidates, text, storage)) for text in wanted]
    if len({member.trial_id for member in members}) < max(2, len(members)):
        raise UsageError(
            f"an ensemble needs at least two trials, each named once; these are {_names(members) or 'none'}"
        )
    return members


def _matching(candidates: Iterable[StoredTrial], text: str, storage: Path) -> list[StoredTrial]:
    """Return every copy of the one trial with this name or this beginning of an id.

    If trials of several sweeps have the same name, those with kept weights are returned.
    """
    matches = [one for one in candidates if text and (one.name == text or one.trial_id.startswith(text))]
    if not matches:
        raise UsageError(f"no trial {text!r} in {storage}; `harness plan FILE` shows the ids of a workload's trials")
    matches = [one for one in matches if one.name == text and one.weights.is_file()] or matches
    if len({one.trial_id for one in matches}) > 1:
        raise UsageError(f"{text!r} could be any of {_names(matches)}; give more of the id")
    return matches


def _usable(copies: Sequence[StoredTrial]) -> StoredTrial:
    """Return the newest copy of a trial that finished and kept its weights."""
    newest = sorted(copies, key=lambda one: one.sweep.started.time_ms, reverse=True)
    finished = [one for one in newest if one.outcome is Outcome.FINISHED]
    name = f"trial {newest[0].trial_id} ({newest[0].name})"
    if not finished:
        outcomes = sorted({one.outcome.value for one in newest if one.outcome is not None})
        state = f"ended as {' and '.join(outcomes)}" if outcomes else "has no end yet"
        raise UsageError(f"{name} has not finished: it {state}; an ensemble is made of finished trials")
    with_weights = [one for one in finished if one.weights.is_file()]
    if not with_weights:
        raise StorageError(f"{name} kept no weights: there is no {finished[0].weights}; {WEIGHTS}")
    return with_weights[0]


def _rebuilt_trial(member: StoredTrial) -> Trial:
    trial = member.sweep.trials.get(member.trial_id)
    if trial is None:
        raise UsageError(
            f"trial {member.trial_id} ({member.name}) was trained by another version of the harness, or on other files "
            f"than are here now; {WEIGHTS}"
        )
    return trial


def _check_data(trials: Sequence[Trial]) -> None:
    records = [{**trial.dataset_record(), "root": None} for trial in trials]
    for trial, record in zip(trials, records, strict=True):
        if record != records[0]:
            raise UsageError(
                f"{trials[0].name} is of data set {_data(records[0])} and {trial.name} of {_data(record)}; "
                "an ensemble needs one test set"
            )


def _data(record: Mapping[str, Any]) -> str:
    return f"{record['name']} ({record['digest'][:8]})"


def _evaluate(members: Sequence[StoredTrial], trials: Sequence[Trial]) -> list[Evaluation]:
    import torch

    from harness.engine.ensemble import evaluate_ensemble

    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    return evaluate_ensemble(((trial, _weights(member)) for trial, member in zip(trials, members, strict=True)), device)


def _weights(member: StoredTrial) -> dict[str, Any]:
    from harness.engine.checkpoint import read_weights

    try:
        return read_weights(member.weights.parent, member.trial_id)
    except (OSError, ValueError) as error:
        raise StorageError(f"{member.weights} cannot be used: {error}; {WEIGHTS}") from error


def _score(evaluation: Evaluation, name: str, trial_id: str | None) -> EnsembleScore:
    return EnsembleScore(
        name=name,
        trial_id=trial_id,
        error_pct=evaluation.error_pct,
        error_top5_pct=evaluation.error_top5_pct,
        images=evaluation.images,
        loss=evaluation.loss if math.isfinite(evaluation.loss) else None,
    )


def _names(matches: Iterable[StoredTrial]) -> str:
    return ", ".join(dict.fromkeys(f"{one.trial_id} ({one.name})" for one in matches))
