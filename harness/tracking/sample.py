"""Events of an invented sweep, for tests and benchmarks of the code behind the outbox. No network was trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.events import ArtifactWritten, EpochEnded, Event, SweepEnded, SweepStarted, TrialEnded, TrialStarted
from harness.schema import Outcome

EPOCH_MS = 1_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Size and start time of the sweep. The same sample has the same events."""

    trials: int = 4
    epochs: int = 3
    together: int = 2
    """Number of trials that run side by side, in steps of one epoch; the next begin when all of them have ended."""
    sweep_id: str = "5a3b1e00"
    name: str = "sample-1"
    experiment: str = "sample"
    start_ms: int = 1_700_000_000_000
    files: tuple[str, ...] = ()
    """Artifacts that every trial reports as written."""

    def events(self) -> Iterator[Event]:
        """Yield every event, in the order of time."""
        yield self.started()
        for first in range(0, self.trials, self.together):
            group = range(first, min(first + self.together, self.trials))
            yield from (self._begin(index) for index in group)
            yield from (self.epoch(index, epoch) for epoch in range(1, self.epochs + 1) for index in group)
            yield from (event for index in group for event in self._end(index))
        yield SweepEnded(status="finished", time_ms=self._time_ms(self.trials, 0))

    def started(self) -> SweepStarted:
        """Return the first event."""
        return SweepStarted(
            sweep_id=self.sweep_id,
            name=self.name,
            experiment=self.experiment,
            description="An **invented** sweep.",
            workload_text="name: sample\n",
            trials=tuple(trial_record(index) for index in range(self.trials)),
            reused={},
            plan={"trials": self.trials},
            environment={"git_commit": "0" * 40, "git_dirty": False},
            time_ms=self.start_ms,
        )

    def epoch(self, index: int, epoch: int) -> EpochEnded:
        """Return one epoch of one trial."""
        error = 90.0 / (epoch + 1) + index
        return EpochEnded(
            trial_id=trial_id(index),
            attempt=1,
            epoch=epoch,
            values={
                "train/loss": error / 40,
                "train/error_pct": error,
                "test/loss": error / 30,
                "test/error_pct": error + 1,
                "throughput/images_per_s": 1000.0 + index,
                "time/train_s": float(epoch),
            },
            time_ms=self._time_ms(index, epoch),
        )

    def _begin(self, index: int) -> Event:
        tags = {"device.name": "Abacus 9"}
        return TrialStarted(trial_id=trial_id(index), attempt=1, tags=tags, time_ms=self._time_ms(index, 0))

    def _end(self, index: int) -> Iterator[Event]:
        time_ms = self._time_ms(index, self.epochs + 1)
        for path in self.files:
            yield ArtifactWritten(trial_id=trial_id(index), attempt=1, path=path, time_ms=time_ms)
        yield TrialEnded(
            trial_id=trial_id(index),
            attempt=1,
            outcome=Outcome.FINISHED,
            results={"final/test_error_pct": 10.0 + index, "model/params": 270_896.0, "time/total_s": 12.5},
            time_ms=time_ms,
        )

    def _time_ms(self, index: int, epoch: int) -> int:
        group, place = divmod(index, self.together)
        return self.start_ms + (group * (self.epochs + 2) + epoch) * EPOCH_MS + place + 1


def trial_id(index: int) -> str:
    """Return the id of the n-th trial."""
    return f"{index:016x}"


def trial_record(index: int) -> Mapping[str, Any]:
    """Return the n-th trial's entry in the sweep's list: three seeds of each depth."""
    cell, seed = divmod(index, 3)
    depth = 8 + 6 * cell
    settings = {"model.depth": depth, "model.shortcut": "A", "recipe.lr": 0.1, "recipe.nesterov": False, "seed": seed}
    return {
        "id": trial_id(index),
        "cell_id": f"c{cell:015x}",
        "label": f"resnet-{depth}-A",
        "seed": seed,
        "settings": settings,
        "dataset": {
            "name": "digits",
            "digest": "0123456789abcdef" * 4,
            "root": None,
            "origin": "invented",
            "profile": {"train_images": 1442, "classes": 10},
        },
    }
