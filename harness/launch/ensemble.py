"""Finished trials asked together: which are meant, whether their networks are still there, and what they answer."""

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
from harness.tracking import outbox as outboxes
from harness.tracking.outbox import Outbox
from harness.trial import Trial
from harness.workload.load import fingerprints, parse_workload
from harness.workload.matrix import expand

if TYPE_CHECKING:
    from harness.engine.evaluate import Evaluation

WEIGHTS = "train it again with `harness run FILE --fresh --keep-weights`, or with `keep: weights` in its workload file"


@dataclass(frozen=True)
class Kept:
    """A sweep on the storage."""

    folder: SweepFolder
    started: SweepStarted

    @cached_property
    def ended(self) -> Mapping[str, TrialEnded]:
        """How those of its trials that ended did so."""
        return outboxes.state(Outbox(self.folder.outbox))

    @cached_property
    def trials(self) -> Mapping[str, Trial]:
        """Its trials, made anew from its workload file; where that says `auto`, on either device, since ids differ.

        Raises:
            WorkloadError: the file is not one of this version, or its data set is not here.
        """
        workload = parse_workload(f"workload of sweep {self.started.name}", self.started.workload_text)
        settled = (with_device(workload, "cpu"), with_device(workload, "cuda"))
        return {trial.id: trial for each in settled for trial in expand(each, fingerprints(workload))}


@dataclass(frozen=True)
class Candidate:
    """A trial as one sweep has it."""

    sweep: Kept
    trial_id: str
    name: str

    @property
    def outcome(self) -> Outcome | None:
        """None where it has not ended in this sweep."""
        ended = self.sweep.ended.get(self.trial_id)
        return None if ended is None else ended.outcome

    @property
    def weights(self) -> Path:
        """The file of its final weights, there or not."""
        return self.sweep.folder.weights(self.trial_id)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Errors on the common test set, of one member or of all."""

    name: str
    trial_id: str | None
    """None for all together."""
    error_pct: float
    error_top5_pct: float | None
    """None where there are but a few classes."""
    images: int
    loss: float | None
    """In nats; None where it is not finite."""


@dataclass(frozen=True, kw_only=True)
class Ensemble:
    """What some trials answer."""

    experiment: str
    dataset: Mapping[str, Any]
    """See `Trial.dataset_record`."""
    members: tuple[Answer, ...]
    together: Answer

    def record(self) -> dict[str, Any]:
        """As JSON takes it."""
        return {
            "dataset": self.dataset["name"],
            "members": [asdict(member) for member in self.members],
            "ensemble": asdict(self.together),
        }


def make_ensemble(storage: Path, wanted: Sequence[str]) -> Ensemble:
    """Average the scores of finished trials on their common test set.

    Args:
        storage: the `--storage` of the runs that trained them.
        wanted: ids of the trials, beginnings of ids that no other has, or names such as `resnet-20-A seed 1`.

    Raises:
        UsageError: fewer than two trials, one that is unknown or has not finished, or several data sets.
        StorageError: the folder holds no sweep, or the weights of a trial are not there.
        HarnessError: the data cannot be loaded.
    """
    members = find_members(list(kept_sweeps(storage)), wanted, storage)
    trials = [_trial(member) for member in members]
    _check_data(trials)
    try:
        *each, together = _asked(members, trials)
    except (OSError, ValueError) as error:
        raise HarnessError(f"the ensemble cannot be evaluated: {error}") from error
    return Ensemble(
        experiment=members[0].sweep.started.experiment,
        dataset=trials[0].dataset_record(),
        members=tuple(_answer(one, member.name, member.trial_id) for one, member in zip(each, members, strict=True)),
        together=_answer(together, f"ensemble of {len(members)}", None),
    )


def kept_sweeps(storage: Path) -> Iterator[Kept]:
    """The sweeps in a storage folder.

    Raises:
        StorageError: it cannot be read, or holds none.
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
            yield Kept(folder, first)


def find_members(sweeps: Sequence[Kept], wanted: Sequence[str], storage: Path) -> list[Candidate]:
    """The trials that are meant, each where its weights are.

    Raises:
        UsageError, StorageError: see `make_ensemble`.
    """
    known = [
        Candidate(sweep, trial["id"], f"{trial['label']} seed {trial['seed']}")
        for sweep in sweeps
        for trial in sweep.started.trials
    ]
    members = [_usable(_meant(known, text, storage)) for text in wanted]
    if len({member.trial_id for member in members}) < max(2, len(members)):
        raise UsageError(
            f"an ensemble needs at least two trials, each named once; these are {_named(members) or 'none'}"
        )
    return members


def _meant(known: Iterable[Candidate], text: str, storage: Path) -> list[Candidate]:
    """Every copy of the one trial that goes by a name or by the beginning of an id.

    Several sweeps may have trials of one name: then those are meant that kept their weights.
    """
    found = [one for one in known if text and (one.name == text or one.trial_id.startswith(text))]
    if not found:
        raise UsageError(f"no trial {text!r} in {storage}; `harness plan FILE` shows the ids of a workload's trials")
    found = [one for one in found if one.name == text and one.weights.is_file()] or found
    if len({one.trial_id for one in found}) > 1:
        raise UsageError(f"{text!r} could be any of {_named(found)}; give more of the id")
    return found


def _usable(copies: Sequence[Candidate]) -> Candidate:
    """The newest copy of a trial that finished and kept its weights."""
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


def _trial(member: Candidate) -> Trial:
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


def _asked(members: Sequence[Candidate], trials: Sequence[Trial]) -> list[Evaluation]:
    import torch

    from harness.engine.ensemble import ask_together

    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    return ask_together(((trial, _weights(member)) for trial, member in zip(trials, members, strict=True)), device)


def _weights(member: Candidate) -> dict[str, Any]:
    from harness.engine.checkpoint import read_weights

    try:
        return read_weights(member.weights.parent, member.trial_id)
    except (OSError, ValueError) as error:
        raise StorageError(f"{member.weights} cannot be used: {error}; {WEIGHTS}") from error


def _answer(evaluation: Evaluation, name: str, trial_id: str | None) -> Answer:
    return Answer(
        name=name,
        trial_id=trial_id,
        error_pct=evaluation.error_pct,
        error_top5_pct=evaluation.error_top5_pct,
        images=evaluation.images,
        loss=evaluation.loss if math.isfinite(evaluation.loss) else None,
    )


def _named(found: Iterable[Candidate]) -> str:
    return ", ".join(dict.fromkeys(f"{one.trial_id} ({one.name})" for one in found))
