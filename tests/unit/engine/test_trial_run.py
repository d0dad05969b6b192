"""One attempt at a trial: its events, its end, and no leak into the next attempt."""

import csv
import dataclasses
import errno
import json
import math
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.nn import functional

import harness.engine.checkpoint
import harness.engine.run
from harness.engine import attempt_trial, run_trial
from harness.engine.failure import PeerLost, failure
from harness.engine.process import node_layout
from harness.engine.train import Training
from harness.errors import Stopped
from harness.events import ArtifactWritten, EpochEnded, TrialStarted
from harness.schema import METRICS, Outcome
from workloads.datasets.digits import Digits
from workloads.datasets.spec import mixed_seed

ROOT = Path(__file__).parents[3]


def test_losses_and_final_numbers_equal_a_plain_pytorch_loop_to_the_last_bit(recording, make_trial):
    trial = make_trial()
    data = Digits().load(torch.device("cpu"))
    torch.manual_seed(trial.seed)
    net = trial.model.build(in_channels=1, num_classes=10, image_size=8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    losses = []
    for epoch in range(2):
        generator = torch.Generator().manual_seed(mixed_seed(trial.seed, epoch))
        order = torch.randperm(1442, generator=generator)
        for first in range(0, 15 * 96, 96):
            step = len(losses)
            warmup, steps = 8, 30  # a quarter of 30 is 7.5, and Python rounds it to the even 8
            optimizer.param_groups[0]["lr"] = 0.05 * min((step + 1) / warmup, (steps - step) / (steps - warmup))
            batch = order[first : first + 96]
            loss = functional.cross_entropy(net(data.train_images[batch]), data.train_labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        errors = int((net(data.test_images).argmax(1) != data.test_labels).sum())

    recorded = recording()
    ended = run_trial(trial, recorded.context)

    steps_file = (recorded.context.folder / "steps.csv").read_text().splitlines()
    assert [float(row["loss"]) for row in csv.DictReader(steps_file)] == losses
    assert ended.results["final/test_error_pct"] == 100 * errors / 355


WITHOUT_INFLUENCE = {
    "CUBLAS_WORKSPACE_CONFIG": ":16:8",
    "GOMP_SPINCOUNT": "0",
    "KMP_BLOCKTIME": "0",
    "MALLOC_PERTURB_": "85",
    "MKL_DYNAMIC": "TRUE",
    "MKL_NUM_THREADS": "2",
    "NVIDIA_TF32_OVERRIDE": "1",
    "OMP_NUM_THREADS": "2",
    "OMP_SCHEDULE": "dynamic",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "0",
    "OPENBLAS_CORETYPE": "Nehalem",
    "PYTHONHASHSEED": "7",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
}
"""Environment variables of Python and of libraries, set to other than their defaults, without effect on a CPU trial."""


def test_a_warm_process_gives_the_numbers_of_a_fresh_one_in_another_environment(recording, make_trial, timeless):
    trial = make_trial(seed=5)
    fresh = json.loads(
        subprocess.run(
            [sys.executable, "-m", "tests.unit.engine.fresh_process"],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, **WITHOUT_INFLUENCE},
        ).stdout
    )
    for other in (make_trial(depth=14, shortcut="plain"), make_trial(seed=1, augmentation="crop-flip")):
        torch.set_num_threads(2)
        torch.rand(7)
        run_trial(other, recording().context)
    recorded = recording()
    assert timeless(run_trial(trial, recorded.context)) == fresh["results"]
    assert [list(point) for point in recorded.curves()] == fresh["curves"]


def test_events_come_in_order_and_the_end_is_the_callers_to_send(recording, make_trial):
    recorded = recording()
    ended = run_trial(make_trial(), recorded.context)
    assert [type(event) for event in recorded.events] == [TrialStarted, EpochEnded, EpochEnded, ArtifactWritten]
    assert [event.epoch for event in recorded.events[1:3]] == [1, 2]
    assert {(event.trial_id, event.attempt) for event in [*recorded.events, ended]} == {(make_trial().id, 1)}


def test_every_name_that_is_written_is_in_the_schema(recording, make_trial):
    recorded = recording()
    ended = run_trial(make_trial(), recorded.context)
    for event in recorded.events[1:3]:
        of_few_classes = {key for key, metric in METRICS.items() if metric.series and "top5" not in key}
        assert set(event.values) == of_few_classes
    unknown_here = {"speed/mfu_pct", "final/test_error_top5_pct", "schedule/warmup_iterations"}
    timed = ("parts/", "roofline/", "speed/block_", "speed/warm", "speed/settled", "speed/drift", "speed/measured_peak")
    others = ("time_to_error/", "device/", "host/", *timed)  # GPUs' own, the monitor's, and those of timing trials
    everything = {key for key, metric in METRICS.items() if not metric.series and not key.startswith(others)}
    assert {key for key in ended.results if not key.startswith("time_to_error/")} == everything - unknown_here
    assert set(ended.results) <= set(METRICS)


def test_the_results_hold_the_published_counts_and_agree_with_the_steps(recording, make_trial):
    recorded = recording()
    results = run_trial(make_trial(width=16), recorded.context).results
    steps = list(csv.DictReader((recorded.context.folder / "steps.csv").read_text().splitlines()))
    timed = [float(step["seconds"]) for step in steps if step["warm"] == "1"]
    # ResNet-8 on one channel of 8x8 pixels, counted by hand: stem, three stages of one unit, classifier.
    macs = 9 * 16 * 64 + 2 * 9 * 16 * 16 * 64 + (9 * 16 * 32 + 9 * 32 * 32) * 16 + (9 * 32 * 64 + 9 * 64 * 64) * 4 + 640
    assert (results["model/macs"], results["final/train_images"], results["final/test_images"]) == (macs, 1442, 355)
    assert [(step["step"], step["epoch"]) for step in steps][13:17] == [
        ("14", "1"),
        ("15", "1"),
        ("16", "2"),
        ("17", "2"),
    ]
    assert [step["warm"] for step in steps] == ["0"] * 10 + ["1"] * 20
    assert results["speed/steps_timed"] == 20
    assert results["speed/images_per_s"] == pytest.approx(20 * 96 / sum(timed))
    assert results["speed/images_per_s_low"] <= results["speed/images_per_s"] <= results["speed/images_per_s_high"]
    assert recorded.events[2].values["time/train_s"] == pytest.approx(sum(float(step["seconds"]) for step in steps))


def test_an_epochs_loss_and_error_are_those_of_its_steps(recording, make_trial):
    recorded = recording()
    run_trial(make_trial(), recorded.context)
    steps = list(csv.DictReader((recorded.context.folder / "steps.csv").read_text().splitlines()))
    for event in recorded.events[1:3]:
        mine = [step for step in steps if int(step["epoch"]) == event.epoch]
        assert event.values["train/loss"] == pytest.approx(math.fsum(float(step["loss"]) for step in mine) / 15)
        assert event.values["train/error_pct"] == pytest.approx(sum(int(step["errors"]) for step in mine) / 1440 * 100)


def test_a_loss_that_is_not_finite_ends_training_at_once_and_is_a_result(recording, make_trial):
    recorded = recording()
    ended = run_trial(make_trial(lr=1e30, epochs=50, shortcut="plain"), recorded.context)
    epochs = [event for event in recorded.events if isinstance(event, EpochEnded)]
    steps = (recorded.context.folder / "steps.csv").read_text().splitlines()[1:]
    assert ended.outcome is Outcome.DIVERGED
    assert ended.reason == f"training loss not finite in epoch 1, step {len(steps)} of 15"
    assert [event.epoch for event in epochs] == [1]
    assert "train/loss" not in epochs[0].values
    assert (ended.results["final/train_error_pct"], ended.results["final/test_error_pct"]) == (100, 100)
    assert "final/train_loss" not in ended.results


def test_a_network_that_ends_at_chance_has_diverged(recording, make_trial):
    """With a learning rate of one in a billion, the network stays as it was drawn and learns nothing."""
    ended = run_trial(make_trial(lr=1e-9, epochs=1, seed=3), recording().context)
    assert ended.outcome is Outcome.DIVERGED
    assert "no better than always answering the commonest class" in ended.reason
    assert ended.results["final/train_error_pct"] > 88


def test_a_trial_out_of_time_says_where_and_keeps_a_checkpoint(recording, make_trial):
    recorded = recording(timeout_s=0.0)
    ended = run_trial(make_trial(), recorded.context)
    assert (ended.outcome, ended.reason) == (Outcome.TIMED_OUT, "out of time after 0 of 2 epochs and 1 steps")
    assert len(recorded.checkpoints) == 1


def test_each_part_of_the_data_is_evaluated_once_for_each_number(recording, make_trial, monkeypatch):
    """The test images after each epoch, the last time for the final error too; the training images at the end."""
    splits = []
    real = Training.evaluate
    monkeypatch.setattr(Training, "evaluate", lambda self, split: (splits.append(split), real(self, split))[1])
    recorded = recording()
    ended = run_trial(make_trial(), recorded.context)
    assert splits == ["test", "test", "train"]
    assert ended.results["final/test_error_pct"] == recorded.curves()[-1][1]["test/error_pct"]


def test_every_step_and_every_batch_evaluated_is_told_as_progress(recording, make_trial):
    beats = []
    run_trial(make_trial(), recording(progressed=lambda: beats.append(1)).context)
    # 15 steps and, of 355 test images, 4 batches of 96 in each of two epochs; 16 batches of the 1,442 training images.
    assert len(beats) == 2 * (15 + 4) + 16


def test_a_stop_passes_through_an_attempt(recording, make_trial):
    recorded = recording()
    recorded.stop_after = 3
    with pytest.raises(Stopped, match="stopped after 0 of 2 epochs and 3 steps"):
        attempt_trial(make_trial(), recorded.context)
    assert len(recorded.checkpoints) == 1


@pytest.mark.parametrize(
    ("error", "outcome", "reason"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory.\n Tried"),
            Outcome.OUT_OF_MEMORY,
            "OutOfMemoryError: CUDA out of memory. Tried",
        ),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
            Outcome.OUT_OF_MEMORY,
            "RuntimeError: [enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried",
        ),
        (ZeroDivisionError("one\nline"), Outcome.FAILED, "ZeroDivisionError: one line"),
    ],
)
def test_what_goes_wrong_becomes_an_outcome_with_one_line_and_a_trace(
    recording, make_trial, monkeypatch, error, outcome, reason
):
    def fail(*_args, **_settings):
        raise error

    monkeypatch.setattr(harness.engine.run, "Training", fail)
    recorded = recording()
    ended = attempt_trial(make_trial(), recorded.context)
    assert ended.outcome is outcome
    trace = recorded.context.folder / "trace-1.txt"
    if outcome is Outcome.OUT_OF_MEMORY:
        peak, _, rest = ended.reason.partition("; ")
        assert 0.01 < float(peak.removeprefix("peak of ").removesuffix(" GiB in the process")) < 1000
    else:
        rest = ended.reason
    assert rest == f"{reason} (rank 0 on {socket.gethostname()}; see {trace})"
    assert [type(event) for event in recorded.events] == [TrialStarted, ArtifactWritten]
    assert recorded.events[1].path == "trace-1.txt"
    assert type(error).__name__ in trace.read_text()
    assert f"attempt 1, rank 0 of 1 on {socket.gethostname()}" in trace.read_text()


def test_the_first_rank_that_fails_writes_the_trace_and_each_attempt_has_its_own(recording, make_trial):
    trial, recorded = make_trial(), recording()
    ranks = [dataclasses.replace(recorded.context, rank=rank, world_size=2) for rank in range(2)]
    first = failure(ZeroDivisionError("the cause"), trial, ranks[1])
    failure(RuntimeError("connection closed by peer"), trial, ranks[0])
    failure(ValueError("another"), trial, dataclasses.replace(ranks[0], attempt=2))
    traces = {path.name: path.read_text() for path in recorded.context.folder.glob("trace*")}
    assert set(traces) == {"trace-1.txt", "trace-2.txt"}
    assert "the cause" in traces["trace-1.txt"]
    assert "rank 1 of 2" in traces["trace-1.txt"]
    assert "closed by peer" not in traces["trace-1.txt"]
    assert f"rank 1 on {socket.gethostname()}" in first.reason
    assert [event.path for event in recorded.events] == ["trace-1.txt", "trace-2.txt"]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[/src/third_party/gloo/gloo/transport/tcp/pair.cc:545] Read error [192.0.2.2]:36050"),
        dist.DistBackendError("NCCL communicator was aborted on rank 0."),
        RuntimeError("NCCL error: remote process exited or there was a network error"),
        dist.DistNetworkError("Connection reset by peer"),
    ],
)
def test_a_rank_that_can_only_say_that_another_is_gone_gives_no_outcome_and_alone_it_is_a_failure(
    recording, make_trial, error
):
    alone = recording().context
    assert failure(error, make_trial(), alone).outcome is Outcome.FAILED
    with pytest.raises(PeerLost, match=rf"{type(error).__name__}: .*\(rank 0 on {socket.gethostname()}; see "):
        failure(error, make_trial(), dataclasses.replace(alone, world_size=2))
    for own in (RuntimeError("shape mismatch"), RuntimeError("CUDA error: illegal access"), OSError("disk")):
        assert failure(own, make_trial(), dataclasses.replace(alone, world_size=2)).outcome is Outcome.FAILED
    full = failure(torch.OutOfMemoryError("/gloo/"), make_trial(), dataclasses.replace(alone, world_size=2))
    assert full.outcome is Outcome.OUT_OF_MEMORY


def test_a_full_disk_fails_the_trial_with_that_reason_and_keeps_what_was_emitted(recording, make_trial, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def open_unless_new(path, mode="r", *rest, **named):
        return full() if mode == "x" else real(path, mode, *rest, **named)

    real = Path.open
    recorded = recording(checkpoint_interval_s=1e9)
    monkeypatch.setattr(harness.engine.run, "write_atomic", full)
    monkeypatch.setattr(Path, "open", open_unless_new)
    ended = attempt_trial(make_trial(), recorded.context)
    assert ended.outcome is Outcome.FAILED
    assert ended.reason.startswith("OSError: [Errno 28] No space left on device")
    assert "its trace cannot be written" in ended.reason
    assert [type(event) for event in recorded.events] == [TrialStarted, EpochEnded, EpochEnded]


def test_a_checkpoint_that_does_not_fit_says_which_and_what_to_do(recording, make_trial, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(harness.engine.checkpoint, "write_atomic", full)
    ended = attempt_trial(make_trial(), recording(checkpoint_every_steps=4).context)
    assert re.match(
        "StorageError: checkpoint .*000000-00000004.checkpoint cannot be written: No space left on device; make room",
        ended.reason,
    )


def test_memory_that_does_not_exist_is_out_of_memory_and_not_a_failure(recording, make_trial, monkeypatch):
    monkeypatch.setattr(harness.engine.run, "Training", lambda *_args, **_settings: torch.empty(2**60))
    assert attempt_trial(make_trial(), recording().context).outcome is Outcome.OUT_OF_MEMORY


def test_a_batch_larger_than_the_data_set_fails_with_the_reason(recording, make_trial):
    ended = attempt_trial(make_trial(batch_size=2000), recording().context)
    assert ended.outcome is Outcome.FAILED
    assert ended.reason.startswith(
        "ValueError: batch_size is 2000, but there are only 1442 training images (rank 0 on "
    )


def test_the_tags_say_what_the_trial_ran_on(recording, make_trial):
    recorded = recording()
    run_trial(make_trial(epochs=1), recorded.context)
    tags = recorded.events[0].tags
    assert tags["device.count"] == "1"
    assert (tags["group.world_size"], tags["group.nodes"]) == ("1", "1")
    assert tags["group.layout"] == f"{socket.gethostname()}: 0"
    assert tags["device.name"]
    assert tags["version.torch"] == torch.__version__
    assert "version.cuda" not in tags


def test_the_layout_names_the_ranks_of_each_node():
    assert node_layout(["alpha", "beta", "alpha", "gamma"]) == "alpha: 0 2; beta: 1; gamma: 3"


@pytest.mark.parametrize("settings", [{"precision": "bf16"}, {"channels_last": True}])
def test_other_precisions_and_layouts_train_too(recording, make_trial, settings):
    ended = run_trial(make_trial(**settings), recording().context)
    assert ended.outcome is Outcome.FINISHED
    assert ended.results["final/train_error_pct"] < 60


def test_the_engine_imports_no_orchestrator_no_tracker_and_no_frames():
    code = "import sys, harness.engine; print(sorted({'ray', 'mlflow', 'pandas', 'sklearn'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
