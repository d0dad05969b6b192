"""Whole trials on JPEG files: their records, and their ends where files are damaged or not visible."""

import json
import os
from types import SimpleNamespace

import psutil
import pytest
import torch

from harness.engine import TrialContext, attempt_trial
from harness.events import EpochEnded
from harness.schema import Outcome
from harness.trial import Scale, Trial
from models import MODELS
from tests.support.environment import start_program
from workloads.datasets.imagenet import ImageNet
from workloads.recipes import Recipe


@pytest.fixture
def attempt(photo_tree, tmp_path):
    """Return a function that trains on the 40 photographs for 2 epochs and returns the end and the losses."""
    count = iter(range(100))

    def run(also=lambda event: None, *, evaluation="single-crop", batch_size=8, progressed=lambda: None, **settings):
        dataset = ImageNet(root=str(photo_tree), subset="photos", image_size=32, **{"decoders": 0, **settings})
        trial = Trial(
            model=MODELS["resnet_cifar"](depth=8, shortcut="A", width=4),
            dataset=dataset,
            recipe=Recipe(epochs=2, batch_size=batch_size, lr=0.1, augmentation="scale-jitter", evaluation=evaluation),
            scale=Scale(device="cpu"),
            seed=0,
            fingerprint=dataset.fingerprint(),
            label="photos",
        )
        events = []
        folder = tmp_path / f"trial-{next(count)}"

        def emit(event):
            events.append(event)
            also(event)

        context = TrialContext(folder, 1, 0, 1, torch.device("cpu"), emit, lambda: False, progressed=progressed)
        ended = attempt_trial(trial, context)
        return ended, [event.values["train/loss"] for event in events if isinstance(event, EpochEnded)]

    return run


def test_a_trial_trains_and_evaluates_on_every_image_and_who_decodes_changes_nothing(attempt):
    ended, losses = attempt()
    assert ended.outcome in (Outcome.FINISHED, Outcome.DIVERGED), ended.reason
    assert (ended.results["final/train_images"], ended.results["final/test_images"]) == (40, 20)
    assert ended.results["data/corrupt_images"] == 0
    assert attempt(decoders=2)[1] == losses


def test_a_decoder_that_is_killed_fails_one_attempt_with_its_reason_and_no_later_trial(attempt):
    before = set(psutil.Process().children(recursive=True))

    def kill_decoders(event):
        if isinstance(event, EpochEnded):
            for child in set(psutil.Process().children(recursive=True)) - before:
                if child.ppid() != os.getpid():  # a child of the fork server
                    child.kill()

    ended, losses = attempt(kill_decoders, decoders=1)
    assert (ended.outcome, len(losses)) == (Outcome.FAILED, 1)
    assert ended.reason.startswith("DecoderError: a decoder (process ")
    assert "was ended by SIGKILL" in ended.reason
    ended, losses = attempt(decoders=1)
    assert ended.outcome in (Outcome.FINISHED, Outcome.DIVERGED), ended.reason
    assert len(losses) == 2


@pytest.mark.parametrize(("evaluation", "room_kib"), [("multi-scale", 80), ("single-crop", 20)])
def test_shared_memory_that_only_evaluation_lacks_is_told_before_training(
    attempt, photo_tree, monkeypatch, evaluation, room_kib
):
    """Training takes one batch of 4 crops, 3 x 32 x 32 + 20 bytes each: 12 KiB. Evaluation takes three at once.

    They are 36 KiB, and three images of 3 x 91 x 136, the largest scale, 109 KiB.
    """
    for file in photo_tree.glob("train/*/train_[1-9].JPEG"):
        file.unlink()  # one image of each class remains
    free = SimpleNamespace(f_bavail=room_kib, f_frsize=2**10)
    monkeypatch.setattr(os, "statvfs", lambda path: free)
    steps = []
    settings = {"decoders": 1, "evaluation": evaluation, "batch_size": 4, "progressed": lambda: steps.append(1)}
    ended, _ = attempt(**settings)
    assert (ended.outcome, steps) == (Outcome.FAILED, [])
    assert ended.reason.startswith("DecoderError: decoders need ")
    free.f_bavail = 2**20
    assert len(attempt(**settings)[1]) == 2


def test_corrupt_images_are_recorded_and_too_many_fail_the_trial_with_one_line(attempt, photo_tree):
    path = photo_tree / "train" / "n00000001" / "train_0.JPEG"
    path.write_bytes(path.read_bytes()[:300])
    ended, _ = attempt(max_corrupt_pct=2.5)
    assert ended.results["data/corrupt_images"] == 1
    ended, _ = attempt()
    assert ended.outcome == Outcome.FAILED
    assert ended.reason.startswith(
        f"ValueError: 1 of 40 images in {photo_tree}/train cannot be decoded, more than the 0.1 %"
    )
    assert "\n" not in ended.reason


def test_a_root_that_one_node_does_not_see_fails_the_trial_on_all_before_training_and_the_node_is_named(
    photo_tree, tmp_path
):
    workers = [
        start_program("tests.unit.workloads.two_nodes", rank, tmp_path, photo_tree, GLOO_SOCKET_IFNAME="lo")
        for rank in range(2)
    ]
    for worker in workers:
        output, _ = worker.communicate(timeout=300)
        assert worker.returncode == 0, output
    ends = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    outcomes, reasons, events = zip(*ends, strict=True)
    assert outcomes == ("failed", "failed")
    missing = f"{photo_tree}/not-mounted/train"
    causes = [reason.partition(" (rank ")[0] for reason in reasons]
    assert causes[0].startswith(
        f"ValueError: the data set cannot be loaded on node-1: there is no folder {missing}; `root` must hold"
    )
    assert causes[1] == causes[0]
    assert "node-0" not in causes[0]
    # One trace, of whichever rank was first, and no epoch.
    assert sorted(events[0] + events[1]) == ["ArtifactWritten", "TrialStarted"]
