"""The events of an invented sweep, for tests and benchmarks of what lies behind the outbox. No network was trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.events import ArtifactWritten, EpochEnded, Event, SweepEnded, SweepStarted, TrialEnded, TrialStarted
from harness.schema import Outcome

EPOCH_MS = 1_000


@dataclass(frozen=True, kw_only=True)
class Sample:
    """How large the sweep is, and when it began. The same sample has the same events."""

    trials: int = 4
    epochs: int = 3
    sweep_id: str = "5a3b1e00"
    name: str = "sample-1"
    experiment: str = "sample"
    start_ms: int = 1_700_000_000_000
    files: tuple[str, ...] = ()
    """Artifacts that every trial says it has written."""

    def events(self) -> Iterator[Event]:
        """Every event, in the order of time: trials side by side, in steps of one epoch."""
        yield self.started()
        for index in range(self.trials):
            yield TrialStarted(
                trial_id=trial_id(index), attempt=1, tags={"device.name": "Abacus 9"}, time_ms=self.start_ms + index
            )
        for epoch in range(1, self.epochs + 1):
            for index in range(self.trials):
                yield self.epoch(index, epoch)
        for index in range(self.trials):
            yield from self._end(index)
        yield SweepEnded(status="finished", time_ms=self.start_ms + (self.epochs + 2) * EPOCH_MS)

    def started(self) -> SweepStarted:
        """The first event."""
        return SweepStarted(
            sweep_id=self.sweep_id,
            name=self.name,
            experiment=self.experiment,
            description="An **invented** sweep.",
            workload_text="name: sample\n",
            trials=tuple(trial_record(index) for index in range(self.trials)),
            reused={},
            plan={"trials": self.trials},
            environment={"git.commit": "0" * 40, "git.dirty": False},
            time_ms=self.start_ms,
        )

    def epoch(self, index: int, epoch: int) -> EpochEnded:
        """One epoch of one trial."""
        error = 90.0 / (epoch + 1) + index
        return EpochEnded(
            trial_id=trial_id(index),
            attempt=1,
            epoch=epoch,
            values={
                "train/loss": error / 40,
                "train/error_pct": error,
                "val/loss": error / 30,
                "val/error_pct": error + 1,
                "throughput/images_per_s": 1000.0 + index,
                "time/train_s": float(epoch),
            },
            time_ms=self.start_ms + epoch * EPOCH_MS + index,
        )

    def _end(self, index: int) -> Iterator[Event]:
        time_ms = self.start_ms + (self.epochs + 1) * EPOCH_MS + index
        for path in self.files:
            yield ArtifactWritten(trial_id=trial_id(index), attempt=1, path=path, time_ms=time_ms)
        yield TrialEnded(
            trial_id=trial_id(index),
            attempt=1,
            outcome=Outcome.FINISHED,
            results={"final/val_error_pct": 10.0 + index, "model/params": 270_896.0, "time/total_s": 12.5},
            time_ms=time_ms,
        )


def trial_id(index: int) -> str:
    """Of the n-th trial."""
    return f"{index:016x}"


def trial_record(index: int) -> Mapping[str, Any]:
    """What the sweep's list says of the n-th trial: three seeds of each depth."""
    cell, seed = divmod(index, 3)
    depth = 8 + 6 * cell
    settings = {"model.depth": depth, "model.shortcut": "A", "recipe.lr": 0.1, "recipe.nesterov": False, "seed": seed}
    return {
        "id": trial_id(index),
        "cell_id": f"c{cell:015x}",
        "label": f"resnet-{depth}-A",
        "seed": seed,
        "settings": settings,
    }
