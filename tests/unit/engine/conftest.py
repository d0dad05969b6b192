"""A tiny trial on real digits, and a context that keeps the events."""

import dataclasses
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from harness.engine import TrialContext, attempt_trial
from harness.engine.process import prepare_process
from harness.engine.step import Stepper
from harness.engine.train import Training
from harness.events import EpochEnded
from harness.measure.peak_cache import MeasuredPeak
from harness.trial import AttemptSettings, Scale, Trial
from models import MODELS
from workloads.datasets import DATASETS
from workloads.recipes import Recipe


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Compute on one thread, as a worker with one core does. More threads add numbers in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


RECIPE = Recipe(epochs=2, batch_size=96, lr=0.05, warmup_fraction=0.25)


def tiny_trial(*, depth=8, shortcut="A", width=4, seed=0, workers=1, **recipe) -> Trial:
    digits = DATASETS["digits"]()
    return Trial(
        model=MODELS["resnet_cifar"](depth=depth, shortcut=shortcut, width=width),
        dataset=digits,
        recipe=dataclasses.replace(RECIPE, **recipe),
        scale=Scale(workers=workers, device="cpu"),
        seed=seed,
        fingerprint=digits.fingerprint(),
        label="tiny",
    )


class Recording:
    """A context for one worker, and all events that the engine sent through it."""

    def __init__(self, folder: Path, **settings) -> None:
        self.events = []
        self.stop_after = None
        self.asked = 0
        attempt = {field.name: settings.pop(field.name) for field in fields(AttemptSettings) if field.name in settings}
        self.context = TrialContext(
            folder=folder,
            attempt=1,
            rank=0,
            world_size=1,
            device=torch.device("cpu"),
            emit=self.events.append,
            stop_requested=self._stop_requested,
            settings=AttemptSettings(**{"checkpoint_interval_s": 0.0, **attempt}),
            **settings,
        )

    def _stop_requested(self) -> bool:
        """Answer the engine, which asks once after every step, and once after every epoch but the last."""
        self.asked += 1
        return self.stop_after is not None and self.asked >= self.stop_after

    @property
    def checkpoints(self) -> list[Path]:
        return sorted((self.context.folder / "checkpoints").glob("*"))

    def curves(self) -> list[tuple[int, dict[str, float]]]:
        """Return every point of the series that do not measure time."""
        return [
            (event.epoch, {key: value for key, value in event.values.items() if is_timeless(key)})
            for event in self.events
            if isinstance(event, EpochEnded)
        ]


def is_timeless(key: str) -> bool:
    return not key.startswith(("time/", "time_to_error/", "throughput/", "speed/"))


def timeless_results(ended) -> dict[str, float]:
    """Return a trial's results without those that measure time."""
    return {key: value for key, value in ended.results.items() if is_timeless(key)}


def weights_after_50_steps(context: TrialContext, **scale) -> dict[str, torch.Tensor]:
    """Return the weights after 50 steps. Batch statistics are over 48 images, one worker's whole share of two."""
    trial = tiny_trial(epochs=None, iterations=50, micro_batch_size=48, augmentation="crop-flip", **scale)
    prepare_process(trial, context.device)
    training = Training(trial, context, started=0.0, checkpoint=None)
    training.train()
    return dict(training.module.named_parameters())


PEAK = MeasuredPeak(
    device="simulated",
    precision="fp32",
    matmul_flops_per_s=1e12,
    matmul_low=1e12,
    copy_bytes_per_s=1e11,
    copy_low=1e11,
    n=1,
    torch_version="",
)


class Time:
    """A clock for a context that moves only when a test advances it."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def passes(self, seconds: float) -> None:
        self.now_s += seconds


def simulated_time(replace, phases_s: dict[str, float], *, communication_s: float = 0.0) -> Time:
    """Simulate time: only each phase of a step and each message with gradients take time, as given.

    Return the clock, for the context of the trial.
    """
    time = Time()
    replace("harness.engine.roofs.measured_peak", lambda device, precision: PEAK)
    plain = Stepper.__init__

    def planted(self, *args, passed=lambda phase: None, **settings):
        def takes(phase):
            time.passes(phases_s[phase])
            passed(phase)

        plain(self, *args, passed=takes, **settings)
        if self.network.parallel is not None:
            self.network.parallel.register_comm_hook(None, averaged)

    def averaged(_state, bucket):
        time.passes(communication_s)
        gradients = bucket.buffer().div_(dist.get_world_size())
        return dist.all_reduce(gradients, async_op=True).get_future().then(lambda future: future.value()[0])

    replace("harness.engine.step.Stepper.__init__", planted)
    return time


@pytest.fixture
def make_trial():
    return tiny_trial


@pytest.fixture
def fifty_steps(recording):
    return lambda: weights_after_50_steps(recording().context)


@pytest.fixture
def timeless():
    return timeless_results


@pytest.fixture
def recording(tmp_path):
    """Return a function that makes a recording in a folder of its own."""
    count = iter(range(1000))
    return lambda **settings: Recording(tmp_path / str(next(count)), **settings)


@pytest.fixture
def simulate():
    return simulated_time


@pytest.fixture(scope="session")
def steady(tmp_path_factory):
    """Run a timing trial with 30 ms forward, 40 ms backward and 10 ms optimizer; return its recording and its end."""
    trial = tiny_trial(epochs=None, iterations=50, warmup_fraction=0.0)
    with pytest.MonkeyPatch.context() as patch:
        clock = simulated_time(patch.setattr, {"forward": 0.03, "backward": 0.04, "optimizer": 0.01})
        recorded = Recording(tmp_path_factory.mktemp("steady") / "trial", clock=clock)
        return recorded, attempt_trial(dataclasses.replace(trial, measure="throughput"), recorded.context)
