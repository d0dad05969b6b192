"""A sweep whose events go to a tracking store in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from harness.events import EpochEnded, Event, SweepStarted, TrialEnded, TrialStarted
from harness.schema import Outcome
from harness.storage import SweepFolder
from harness.tracking.memory import MemoryRun, MemoryTracker
from harness.tracking.outbox import Outbox
from harness.tracking.recorder import Recorder
from harness.tracking.sample import Sample, trial_id

URI = "http://tracking.example:5000"

FIRST = trial_id(0)


@dataclass
class Desk:
    """A sweep's folder and the store in memory that its events go to."""

    folder: SweepFolder
    outbox: Outbox
    tracker: MemoryTracker

    def recorder(self, uri: str = URI) -> Recorder:
        return Recorder(self.outbox, self.folder.cursor, uri, self.folder, connect=lambda _: self.tracker)

    def write(self, *events: Event) -> None:
        for event in events:
            self.outbox.append(event)

    def file(self, name: str, content: str) -> None:
        path = self.folder.trial(FIRST) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def parent(self) -> MemoryRun:
        [run] = [run for run in self.tracker.runs.values() if run.record.tags["harness.kind"] == "sweep"]
        return run

    def run(self, trial: str = FIRST) -> MemoryRun:
        [run] = [run for run in self.tracker.runs.values() if run.record.tags.get("harness.trial_id") == trial]
        return run


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    folder = SweepFolder(tmp_path / "sweep")
    folder.make()
    return Desk(folder, Outbox(folder.outbox), MemoryTracker())


def start(time_ms: int = 1_000) -> SweepStarted:
    return replace(Sample(trials=2).started(), time_ms=time_ms)


def begun(attempt: int = 1, time_ms: int = 2_000, trial: str = FIRST) -> TrialStarted:
    return TrialStarted(trial_id=trial, attempt=attempt, tags={"device.name": "Abacus 9"}, time_ms=time_ms)


def epoch(number: int, time_ms: int, **values: float) -> EpochEnded:
    series = values or {"train_loss": 0.5}
    return EpochEnded(
        trial_id=FIRST,
        attempt=1,
        epoch=number,
        values={key.replace("_", "/", 1): value for key, value in series.items()},
        time_ms=time_ms,
    )


def ended(outcome: Outcome = Outcome.FINISHED, time_ms: int = 9_000, **more: object) -> TrialEnded:
    return TrialEnded(**{"trial_id": FIRST, "attempt": 1, "outcome": outcome, "time_ms": time_ms, **more})  # type: ignore[arg-type]


def contents(tracker: MemoryTracker) -> list[MemoryRun]:
    return sorted(tracker.runs.values(), key=lambda run: run.record.run_id)


def essence(tracker: MemoryTracker) -> list[object]:
    """Return everything that a reader sees, except run ids."""
    names = {run_id: run.record.name for run_id, run in tracker.runs.items()}
    return sorted(
        (
            run.record.name,
            run.record.status,
            run.record.start_ms,
            run.record.end_ms,
            sorted((key, names.get(value, value)) for key, value in run.record.tags.items()),
            sorted(run.record.params.items()),
            run.points,
            sorted(run.artifacts.items()),
            sorted(run.datasets),
        )
        for run in tracker.runs.values()
        if not run.deleted
    )
