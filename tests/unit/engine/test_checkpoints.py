"""An interrupted trial goes on as if nothing had happened: the same curves and the same numbers, to the last bit."""

import dataclasses
import hashlib
import io

import pytest
import torch
import torch.distributed as dist
from torch import nn

import harness.engine.checkpoint
import harness.engine.train
from harness.engine import run_trial
from harness.engine.checkpoint import FORMAT, KEPT, CheckpointFolder
from harness.engine.distributed import data_parallel
from harness.engine.network import Network
from harness.engine.step import Stepper
from harness.errors import HarnessError, Stopped
from harness.events import TrialStarted
from harness.schema import Outcome
from models import MODELS
from models.spec import ModelSpec

STEPS_PER_EPOCH = 15
"""Whole batches of 96 in 1,442 images."""
LOOKS = STEPS_PER_EPOCH + 1
"""Number of looks at requests in an epoch: one after each step and one after the test."""


@pytest.fixture
def undisturbed(recording, make_trial):
    """Return a function that runs a trial uninterrupted, to compare with; it returns the recording and the end."""

    def run(**recipe):
        whole = recording()
        return whole, run_trial(make_trial(**recipe), whole.context)

    return run


def stop(recorded, trial, after):
    recorded.stop_after = after
    with pytest.raises(Stopped):
        run_trial(trial, recorded.context)
    recorded.stop_after = None


def step_columns(recorded):
    """Return steps.csv without the columns that measure time."""
    lines = (recorded.context.folder / "steps.csv").read_text().splitlines()
    return [[line.split(",")[i] for i in (0, 1, 3, 4)] for line in lines]


@pytest.mark.parametrize("augmentation", ["none", "crop-flip"])
@pytest.mark.parametrize(
    ("after", "place"),
    [(1, (0, 1)), (7, (0, 7)), (STEPS_PER_EPOCH, (0, STEPS_PER_EPOCH)), (LOOKS, (1, 0)), (LOOKS + 4, (1, 4))],
    ids=["first step", "middle of an epoch", "before its test", "end of an epoch", "middle of the next"],
)
def test_a_stopped_trial_resumes_bit_for_bit(recording, make_trial, undisturbed, timeless, augmentation, after, place):
    trial = make_trial(augmentation=augmentation)
    whole, expected = undisturbed(augmentation=augmentation)
    part = recording()
    stop(part, trial, after)
    assert part.checkpoints[-1].name == "{:06d}-{:08d}.checkpoint".format(*place)

    ended = run_trial(trial, part.context)

    started = [event for event in part.events if isinstance(event, TrialStarted)]
    assert [event.resumed_epoch for event in started] == [None, place[0] + place[1] / STEPS_PER_EPOCH]
    assert part.curves() == whole.curves()
    assert timeless(ended) == timeless(expected)
    assert step_columns(part) == step_columns(whole)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dropping(ModelSpec):
    """A network that draws random numbers at every step: its generators must be resumed too."""

    family = label = name = "dropping"

    def build(self, *, in_channels, num_classes, image_size):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(in_channels * image_size**2, num_classes))


@pytest.mark.parametrize("after", [4, STEPS_PER_EPOCH, LOOKS, LOOKS + 4])
def test_a_network_with_dropout_resumes_bit_for_bit(recording, make_trial, monkeypatch, timeless, after):
    monkeypatch.setitem(MODELS, "dropping", Dropping)
    trial = dataclasses.replace(make_trial(), model=Dropping())
    whole, part = recording(), recording()
    expected = run_trial(trial, whole.context)
    stop(part, trial, after)
    torch.rand(5)
    assert timeless(run_trial(trial, part.context)) == timeless(expected)
    assert part.curves() == whole.curves()


def test_a_trial_stopped_again_and_again_still_ends_with_the_same_numbers(recording, make_trial, undisturbed, timeless):
    whole, expected = undisturbed()
    part = recording()
    for _ in range(3):
        part.asked = 0
        stop(part, make_trial(), 9)
    assert timeless(run_trial(make_trial(), part.context)) == timeless(expected)
    assert part.curves() == whole.curves()


@pytest.fixture
def sums(monkeypatch, tmp_path):
    """Record the order in which DDP adds up gradients in every step: the shapes in each of its messages."""
    found = []

    def note(_state, bucket):
        if bucket.index() == 0:
            found.append([])
        found[-1].append([tuple(gradient.shape) for gradient in bucket.gradients()])
        done = torch.futures.Future()
        done.set_result(bucket.buffer())
        return done

    def shared(module, recipe, context):
        parallel = data_parallel(module, context.device)
        parallel.register_comm_hook(None, note)
        return Network(parallel, parallel)

    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    monkeypatch.setattr("harness.engine.step.runnable", shared)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield found
    dist.destroy_process_group()


def test_a_resumed_trial_adds_up_its_workers_gradients_in_the_order_of_one_that_nobody_stopped(
    recording, make_trial, sums, timeless
):
    """In another order, three or more workers round their sums differently. One worker shows the order as well."""
    trial = make_trial(epochs=1)
    whole, part = recording(), recording()
    expected = run_trial(trial, whole.context)
    undisturbed = sums.copy()
    assert len(undisturbed) == STEPS_PER_EPOCH
    assert undisturbed[0] != undisturbed[1] == undisturbed[-1]
    stop(part, trial, after=4)
    sums.clear()
    assert timeless(run_trial(trial, part.context)) == timeless(expected)
    assert sums[-(STEPS_PER_EPOCH - 4) :] == undisturbed[4:]


@pytest.mark.parametrize(
    "damage", [lambda content: content[:-100], lambda content: content[:900] + b"?" + content[901:]]
)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(
    recording, make_trial, undisturbed, timeless, damage, caplog
):
    _, expected = undisturbed()
    part = recording(checkpoint_every_steps=4)
    stop(part, make_trial(), 10)
    newest = part.checkpoints[-1]
    newest.write_bytes(damage(newest.read_bytes()))

    ended = run_trial(make_trial(), part.context)

    resumed = [event.resumed_epoch for event in part.events if isinstance(event, TrialStarted)]
    assert resumed == [None, 8 / STEPS_PER_EPOCH]
    assert f"{newest} is passed over: truncated or altered" in caplog.text
    assert timeless(ended) == timeless(expected)


def test_a_trial_whose_checkpoints_are_all_damaged_starts_afresh(recording, make_trial, undisturbed, timeless):
    _, expected = undisturbed()
    part = recording(checkpoint_every_steps=4)
    stop(part, make_trial(), 10)
    for path in part.checkpoints:
        path.write_bytes(b"")
    assert timeless(run_trial(make_trial(), part.context)) == timeless(expected)


def test_checkpoints_passed_over_make_way_for_those_of_the_trial_that_started_afresh(recording, make_trial):
    """Two checkpoints are kept; by their names, the unreadable ones would be the newest two for 80 epochs."""
    part = recording(checkpoint_every_steps=4)
    folder = part.context.folder / "checkpoints"
    folder.mkdir(parents=True)
    for epoch in (80, 81):
        (folder / f"{epoch:06d}-00000000.checkpoint").write_bytes(b"of another format")
    stop(part, make_trial(), 10)
    assert [path.name for path in part.checkpoints] == ["000000-00000008.checkpoint", "000000-00000010.checkpoint"]


def test_a_checkpoint_is_written_only_when_the_events_before_it_are_safe(recording, make_trial):
    """An attempt that resumes from a checkpoint does not send them again: a lost event would be a hole in a curve."""
    answers = iter([None, None, HarnessError("the queue refused an event")])

    def flush():
        if (answer := next(answers)) is not None:
            raise answer

    part = recording(checkpoint_every_steps=4, flush=flush)
    with pytest.raises(HarnessError, match="refused"):
        run_trial(make_trial(), part.context)
    assert [path.name for path in part.checkpoints] == ["000000-00000004.checkpoint", "000000-00000008.checkpoint"]


def test_another_trials_checkpoint_is_not_taken_up(recording, make_trial, undisturbed, timeless):
    """This happens when a setting is changed and the folder copied: the weights would be the wrong ones."""
    _, expected = undisturbed(lr=0.02)
    part = recording()
    stop(part, make_trial(), 10)
    assert timeless(run_trial(make_trial(lr=0.02), part.context)) == timeless(expected)


def test_the_two_newest_are_kept_and_the_last_is_from_before_the_final_evaluations(recording, make_trial):
    part = recording(checkpoint_every_steps=3)
    stop(part, make_trial(), 14)
    assert KEPT == 2
    assert [path.name for path in part.checkpoints] == [
        "000000-00000012.checkpoint",
        "000000-00000014.checkpoint",
    ]
    assert run_trial(make_trial(), part.context).outcome is Outcome.FINISHED
    assert part.checkpoints[-1].name == "000001-00000015.checkpoint"
    assert (part.context.folder / "steps.csv").exists()


def test_epochs_that_end_soon_after_a_checkpoint_write_none(recording, make_trial):
    part = recording(checkpoint_interval_s=3600.0)
    part.stop_after = 2 * LOOKS + 1
    with pytest.raises(Stopped):
        run_trial(make_trial(epochs=3), part.context)
    assert [path.name for path in part.checkpoints] == ["000002-00000001.checkpoint"]


def test_a_checkpoint_counts_the_time_of_earlier_attempts(recording, make_trial):
    part = recording()
    stop(part, make_trial(), 10)
    checkpoint = CheckpointFolder(part.context.folder / "checkpoints").read(
        trial_id=make_trial().id, rank=0, world_size=1
    )
    late = dataclasses.replace(checkpoint, total_s=checkpoint.total_s + 1000, evaluate_s=500.0)
    CheckpointFolder(part.context.folder / "checkpoints").write(late)
    ended = run_trial(make_trial(), part.context)
    assert ended.results["time/total_s"] > 1000
    assert 500 < ended.results["time/evaluate_s"] < 1000


def test_a_trial_that_ran_out_of_time_has_as_much_again_in_its_next_attempt(recording, make_trial):
    """Otherwise every attempt would end at its first step: one hour is over, and each attempt has half an hour."""
    part = recording(timeout_s=1800.0)
    stop(part, make_trial(), 10)
    folder = CheckpointFolder.of(part.context)
    checkpoint = folder.read(trial_id=make_trial().id, rank=0, world_size=1)
    folder.write(dataclasses.replace(checkpoint, total_s=3600.0))
    ended = run_trial(make_trial(), part.context)
    assert ended.outcome is Outcome.FINISHED
    assert ended.results["time/total_s"] > 3600


def test_a_trial_lost_after_its_last_evaluation_ends_again_without_training(recording, make_trial, monkeypatch):
    part = recording()
    expected = run_trial(make_trial(), part.context)
    monkeypatch.setattr(Stepper, "step", None)
    again = run_trial(make_trial(), part.context)
    assert again.outcome is Outcome.FINISHED
    assert again.results["final/test_loss"] == expected.results["final/test_loss"]
    assert part.curves()[-1] == part.curves()[-2]


def test_a_checkpoint_is_written_in_the_middle_of_an_epoch_when_time_says_so(recording, make_trial, monkeypatch):
    """The clock advances by 1 s at each look, so the first checkpoint is due 7 s after the start."""
    written = []
    monkeypatch.setattr(CheckpointFolder, "write", lambda _self, found: written.append((found.epoch, found.step)))
    ticks = iter(range(10_000))
    monkeypatch.setattr(harness.engine.train.Training, "_idle_s", property(lambda _self: next(ticks)))
    part = recording(checkpoint_every_s=7.0, checkpoint_interval_s=1e9)
    part.stop_after = 9
    with pytest.raises(Stopped):
        run_trial(make_trial(), part.context)
    assert written == [(0, 8), (0, 9)]


def test_only_rank_0_reads_and_sends_what_it_read(recording, make_trial, monkeypatch):
    part = recording()
    stop(part, make_trial(), 3)
    folder = CheckpointFolder.of(part.context)
    sent = []
    monkeypatch.setattr(harness.engine.checkpoint, "from_rank_0", lambda value, _size: sent.append(value))
    monkeypatch.setattr(CheckpointFolder, "_newest_first", lambda _self: pytest.fail("another rank looked"))
    folder.read(trial_id=make_trial().id, rank=1, world_size=2)
    monkeypatch.undo()
    monkeypatch.setattr(harness.engine.checkpoint, "from_rank_0", lambda value, _size: sent.append(value))
    folder.read(trial_id=make_trial().id, rank=0, world_size=2)
    assert [found and found.step for found in sent] == [None, 3]


class Trap:
    """An object that runs code when it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("the checkpoint's code ran",)


def test_a_checkpoint_with_code_in_it_is_passed_over_and_the_code_does_not_run(recording, make_trial, caplog):
    part = recording()
    stop(part, make_trial(), 3)
    body = io.BytesIO()
    torch.save({"format": FORMAT, "trial_id": make_trial().id, "trap": Trap()}, body)
    part.checkpoints[-1].write_bytes(hashlib.sha256(body.getvalue()).digest() + body.getvalue())
    assert CheckpointFolder.of(part.context).read(trial_id=make_trial().id, rank=0, world_size=1) is None
    assert "none of ours" in caplog.text
