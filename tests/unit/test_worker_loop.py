"""The loop of a worker: the checkpoints that it keeps, and for how long."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from harness import worker_loop as leases
from harness.engine.failure import PeerLost
from harness.errors import StorageError
from harness.events import TrialEnded
from harness.launch.sweep import shape_of
from harness.scheduling.queue import TrialQueue
from harness.scheduling.types import Job, Lease, Shape
from harness.schema import Outcome
from harness.storage import SweepFolder
from harness.trial import AttemptSettings, Scale, Trial
from harness.worker_loop import GroupBroken, Worker, run_leases
from models import MODELS
from workloads.datasets import DATASETS
from workloads.recipes import RECIPES

TRIAL = Trial(
    model=MODELS["resnet_cifar"](depth=8, width=4),
    dataset=DATASETS["digits"](),
    recipe=dataclasses.replace(RECIPES["quick"], epochs=1),
    scale=Scale(device="cpu"),
    seed=0,
    fingerprint=DATASETS["digits"]().fingerprint(),
    label="tiny",
)


class Watched(TrialQueue):
    """A queue that notes the checkpoints present when a trial's end arrives, and may then fail to record the end."""

    def watch(self, folder: Path, *, full: bool = False) -> None:
        self.folder, self.full = folder, full
        self.kept: list[list[str]] = []

    def checkpoints(self) -> list[str]:
        found = (SweepFolder(self.folder).trial(TRIAL.id) / "checkpoints").glob("*")
        return sorted(path.name for path in found)

    def end(self, group: str, ended: TrialEnded) -> None:
        self.kept.append(self.checkpoints())
        if self.full:
            raise StorageError("no space left on device")
        super().end(group, ended)

    def lease(self, group: str, shape: Shape) -> Lease | None:
        return super().lease(group, shape)


def queue(folder: Path, *, full: bool = False) -> Watched:
    made = Watched([Job(trial=TRIAL, shape=shape_of(TRIAL.scale), cost=1.0)], lambda _event: None)
    made.watch(folder, full=full)
    return made


def worker(folder: Path) -> Worker:
    return Worker(
        group="g",
        shape=shape_of(TRIAL.scale),
        rank=0,
        device=torch.device("cpu"),
        folder=folder,
        stop_requested=lambda: False,
        settings=AttemptSettings(checkpoint_every_steps=5),
    )


def test_checkpoints_stay_until_the_end_is_recorded_and_go_then(tmp_path: Path) -> None:
    watched = queue(tmp_path)
    run_leases(watched, worker(tmp_path))
    assert [len(kept) for kept in watched.kept] == [2]
    assert watched.checkpoints() == []
    assert watched.snapshot().ended[0].outcome is Outcome.FINISHED


def test_an_end_that_cannot_be_recorded_leaves_what_the_trial_can_be_ended_from(tmp_path: Path) -> None:
    full = queue(tmp_path, full=True)
    with pytest.raises(StorageError):
        run_leases(full, worker(tmp_path))
    assert full.checkpoints()
    again = queue(tmp_path)
    run_leases(again, worker(tmp_path))
    assert again.snapshot().ended[0].outcome is Outcome.FINISHED


def test_a_rank_that_lost_another_leaves_it_to_others_to_say_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It only saw a connection close; the controller, which watches both processes, knows that the other was killed."""

    def meet_silence(*_args: object) -> TrialEnded:
        raise PeerLost("RuntimeError: connection closed by peer")

    monkeypatch.setattr(leases, "NOTICE_S", 0.0)
    monkeypatch.setattr(leases, "attempt_trial", meet_silence)
    watched = queue(tmp_path)
    with pytest.raises(GroupBroken, match="closed by peer"):
        run_leases(watched, worker(tmp_path))
    assert watched.busy() == {"g"}
    watched.groups.note_loss_reason("g", "rank 1 died")
    watched.release_leases("g")
    assert watched.waiting() == {shape_of(TRIAL.scale): 1}, "it is tried again"
