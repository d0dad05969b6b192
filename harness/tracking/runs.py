"""Assignment of a store's runs to the trials of a sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from harness.schema import KIND_SWEEP, Tag
from harness.tracking.mapping import PARENT_TAG, SweepFacts
from harness.tracking.tracker import RunRecord, Status, Tracker


@dataclass
class KnownRun:
    """Facts about a run that the recorder remembers."""

    run_id: str
    status: Status
    has_params: bool


class SweepRuns:
    """Runs of one sweep: looked up once, then updated with every change that the recorder makes."""

    def __init__(self, tracker: Tracker, facts: SweepFacts) -> None:
        self._tracker = tracker
        self._facts = facts
        self._sweep_id = facts.started.sweep_id
        self.experiment_id = tracker.ensure_experiment(facts.started.experiment)
        self.parent: KnownRun | None = None
        self._trials: dict[str, KnownRun] = {}
        self.reload()

    def reload(self) -> None:
        """Ask the store again, and delete the duplicate runs that an unanswered request to create one left behind."""
        self._trials = {}
        self.parent = None
        for key, records in by_trial(self._tracker.runs_of_sweep(self.experiment_id, self._sweep_id)).items():
            record, *doubles = records
            known = KnownRun(record.run_id, record.status, bool(record.params))
            if key is None:
                self.parent = known
            else:
                self._trials[key] = known
            for double in doubles:
                self._tracker.delete_run(double.run_id)

    def require_parent(self) -> KnownRun:
        """Return the parent run, creating it if it is missing."""
        if self.parent is None:
            started = self._facts.started
            run_id = self._tracker.create_run(
                self.experiment_id, name=started.name, start_ms=started.time_ms, tags=self._facts.sweep_tags()
            )
            self.parent = KnownRun(run_id, "RUNNING", has_params=True)
        return self.parent

    def require_trial(self, trial_id: str, start_ms: int) -> KnownRun:
        """Return the trial's run, creating it if it is missing."""
        if trial_id not in self._trials:
            run_id = self._tracker.create_run(
                self.experiment_id,
                name=self._facts.trial_name(trial_id),
                start_ms=start_ms,
                tags=self._facts.trial_tags(trial_id, self.require_parent().run_id),
            )
            self._trials[trial_id] = KnownRun(run_id, "RUNNING", has_params=False)
        return self._trials[trial_id]

    def trials(self) -> Mapping[str, KnownRun]:
        """Return trial id -> run, in the order in which the runs started."""
        return self._trials

    def run_ids(self) -> set[str]:
        """Return the ids of the parent and of every trial."""
        parents = [] if self.parent is None else [self.parent]
        return {run.run_id for run in (*parents, *self._trials.values())}


def by_trial(records: list[RunRecord]) -> dict[str | None, list[RunRecord]]:
    """Return the runs of each trial, with the runs of the sweep itself under None.

    If there are several, an unanswered request to create one left the others behind. The run with the most data comes
    first.
    """
    children = Counter(record.tags.get(PARENT_TAG) for record in records)

    def emptiness(record: RunRecord) -> tuple[int, int, int]:
        return -len(record.params), -children[record.run_id], -len(record.tags)

    groups: dict[str | None, list[RunRecord]] = {}
    for record in sorted(records, key=emptiness):
        key = None if record.tags.get(Tag.KIND) == KIND_SWEEP else record.tags.get(Tag.TRIAL_ID, record.run_id)
        groups.setdefault(key, []).append(record)
    return groups
