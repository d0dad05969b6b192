"""Sending of one sweep's events to a tracking store. Sending them again changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

from harness.events import Event, SweepEnded, SweepStarted
from harness.schema import Outcome, Tag
from harness.storage import SweepFolder
from harness.tracking.artifacts import sweep_files, trial_file, written
from harness.tracking.mapping import NOT_ENDED, STATUS_OF_SWEEP, RunChange, SweepFacts, fold
from harness.tracking.runs import KnownRun, SweepRuns
from harness.tracking.tracker import Point, RejectedError, Tracker


class RunsMissingError(RejectedError):
    """The store has lost the events sent before: all of them must be sent again."""


class DeadlineExceededError(Exception):
    """The given time is over. The part of the batch already sent is sent again, which changes nothing."""


class Sender:
    """Writes one sweep's events through one connection to a store. It is discarded when the store stops answering.

    Every method may raise `TrackingUnreachable`: nothing is lost then, and the same call is made again later.
    """

    def __init__(self, tracker: Tracker, folder: SweepFolder) -> None:
        self._tracker = tracker
        self._folder = folder
        self._facts: SweepFacts | None = None
        self._runs: SweepRuns | None = None

    def restore(self, started: SweepStarted) -> None:
        """Continue a sweep whose start was sent before.

        Raises:
            RunsMissingError: the store does not have it.
        """
        self._know(started)
        self._present_parent()

    def send(self, events: Sequence[Event], until: float | None = None, *, files: bool = True) -> list[str]:
        """Write events; a `SweepStarted` or a `SweepEnded` comes alone.

        Args:
            events: the events in the order in which they happened.
            until: moment of the monotonic clock after which no further trial is begun.
            files: write their files too.

        Returns:
            Messages about the items that the store will never accept, one each.

        Raises:
            DeadlineExceededError: the time was not enough.
            RunsMissingError: the store has lost the sweep.
            RejectedError: the store does not accept the sweep itself.
            ArtifactStoreUnreachable: the place of files does not answer.
        """
        match events:
            case [SweepStarted() as started]:
                return list(self._begin(started, files))
            case [SweepEnded() as ended]:
                return list(self._end(ended))
            case _:
                return list(self._apply_all(fold(events), until, files))

    @property
    def _known_runs(self) -> SweepRuns:
        if self._runs is None:
            raise RejectedError("the outbox does not begin with the start of a sweep")
        return self._runs

    @property
    def _known_facts(self) -> SweepFacts:
        if self._facts is None:
            raise RejectedError("the outbox does not begin with the start of a sweep")
        return self._facts

    def _present_parent(self) -> KnownRun:
        parent = self._known_runs.parent
        if parent is None:
            name = self._known_facts.started.name
            raise RunsMissingError(f"the store no longer has sweep {name}; it is sent again, from its start")
        return parent

    def _know(self, started: SweepStarted) -> None:
        self._facts = SweepFacts(started)
        self._runs = SweepRuns(self._tracker, self._facts)

    def _begin(self, started: SweepStarted, files: bool) -> Iterator[str]:
        self._know(started)
        parent = self._known_runs.require_parent()
        yield from self._log(parent.run_id, tags=self._known_facts.sweep_notes())
        with written(sweep_files(started) if files else {}) as paths:
            yield from _refusals(partial(self._tracker.log_file, parent.run_id, path) for path in paths)
        if parent.status != "RUNNING":
            self._tracker.set_status(parent.run_id, "RUNNING", None)
            parent.status = "RUNNING"

    def _apply_all(self, changes: Sequence[RunChange], until: float | None, files: bool) -> Iterator[str]:
        for change in changes:
            if until is not None and time.monotonic() >= until:
                raise DeadlineExceededError
            yield from self._apply(change, files)

    def _apply(self, change: RunChange, files: bool) -> Iterator[str]:
        run = self._known_runs.require_trial(change.trial_id, change.start_ms)
        params = {} if run.has_params else self._known_facts.trial_params(change.trial_id)
        if not run.has_params:  # logged first: the presence of params means that it is there
            yield from self._log_dataset(run.run_id, change.trial_id)
        yield from self._log(run.run_id, points=change.points, params=params, tags=change.tags)
        run.has_params = True
        for path in change.files if files else ():
            yield from self._log_file(run.run_id, change.trial_id, path)
        if change.status is not None and (change.status != run.status or change.end_ms is not None):
            self._tracker.set_status(run.run_id, change.status, change.end_ms)
            run.status = change.status

    def _end(self, ended: SweepEnded) -> Iterator[str]:
        self._known_runs.reload()
        parent = self._present_parent()
        for run in self._known_runs.trials().values():
            if run.status == "RUNNING":
                yield from self._log(run.run_id, tags={Tag.OUTCOME: Outcome.STOPPED.value, Tag.REASON: NOT_ENDED})
                self._tracker.set_status(run.run_id, "KILLED", ended.time_ms)
        self._tracker.set_status(parent.run_id, STATUS_OF_SWEEP.get(ended.status, "FAILED"), ended.time_ms)

    def _log(
        self,
        run_id: str,
        *,
        points: Sequence[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Iterator[str]:
        """Log everything at once; if the store refuses, log one by one, so that one bad value loses no other."""
        params, tags = params or {}, tags or {}
        try:
            self._tracker.log(run_id, points=points, params=params, tags=tags)
        except RejectedError:
            self._require_presence(run_id)
            log = partial(self._tracker.log, run_id)
            yield from _refusals(partial(log, points=[point], params={}, tags={}) for point in points)
            yield from _refusals(partial(log, points=[], params={key: params[key]}, tags={}) for key in params)
            yield from _refusals(partial(log, points=[], params={}, tags={key: tags[key]}) for key in tags)

    def _log_dataset(self, run_id: str, trial_id: str) -> Iterator[str]:
        dataset = self._known_facts.trial_dataset(trial_id)
        if dataset is None:
            return
        try:
            self._tracker.log_dataset(run_id, dataset)
        except RejectedError as refusal:
            self._require_presence(run_id)
            yield str(refusal)

    def _require_presence(self, run_id: str) -> None:
        self._known_runs.reload()
        if run_id not in self._known_runs.run_ids():
            raise RunsMissingError(f"the store no longer has run {run_id}; the sweep is sent again, from its start")

    def _log_file(self, run_id: str, trial_id: str, path: str) -> Iterator[str]:
        try:
            with trial_file(self._folder.trial(trial_id), path) as (file, target):
                self._tracker.log_file(run_id, file, target)
        except RejectedError as refusal:
            yield str(refusal)


def _refusals(calls: Iterable[Callable[[], None]]) -> Iterator[str]:
    for call in calls:
        try:
            call()
        except RejectedError as refusal:
            yield str(refusal)
