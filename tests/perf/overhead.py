"""Cost of tracking and monitoring for a training step: blocks of steps with both and without, in turn, in one process.

    python -m tests.perf.overhead [--pairs N] [--seconds S]

With both, the recorder's thread reads the outbox every second and sends new events to MLflow on a SQLite file, the
monitor's thread reads the host, and each block begins with the event of an epoch. All of it shares the interpreter with
the training, as it does without Ray; under Ray the recorder is in another process. The order of the two alternates from
pair to pair. Three kinds of clock measure the time: the wall clock, which other programs disturb most, the clock of the
process, and the clocks of the two threads, which other programs hardly disturb. The threads' share of a core bounds the
time that they take from the training if no core is spare. The promise is under 1 %.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats

from harness.engine import TrialContext
from harness.engine.batches import real_batches
from harness.engine.network import build_module
from harness.engine.process import prepare_process
from harness.engine.step import Stepper
from harness.measure.host import HostReader
from harness.measure.identity import processor_name
from harness.measure.sampler import HOST_PERIOD_S, RawFile, Sampler, Source
from harness.storage import SweepFolder
from harness.tracking.outbox import Outbox
from harness.tracking.prepare import prepare
from harness.tracking.recorder import Recorder
from harness.tracking.sample import Sample
from harness.trial import Scale, Trial
from models import MODELS
from workloads.datasets import DATASETS
from workloads.recipes import RECIPES

Blocks = NDArray[np.float64]
CPU = torch.device("cpu")
WARM_UP_STEPS = 20


def trial() -> Trial:
    """Make ResNet-20 on the digits with one thread: a step takes a few hundredths of a second, so an overhead shows."""
    digits = DATASETS["digits"]()
    return Trial(
        model=MODELS["resnet_cifar"](depth=20, shortcut="A"),
        dataset=digits,
        recipe=RECIPES["quick"],
        scale=Scale(workers=1, device="cpu", cpus_per_worker=1),
        seed=0,
        fingerprint=digits.fingerprint(),
        label="resnet-20-A",
    )


class Training:
    """Training steps without end, in blocks."""

    def __init__(self, folder: Path) -> None:
        tiny = trial()
        context = TrialContext(folder, 1, 0, 1, CPU, emit=lambda _event: None, stop_requested=lambda: False)
        prepare_process(tiny, CPU)
        module = build_module(tiny, CPU)
        module.train()
        self._stepper = Stepper(module, tiny.recipe, context)
        self._batches = real_batches(tiny.dataset.load(CPU), tiny, context)

    def block(self, steps: int) -> None:
        """Run this many steps."""
        for _ in range(steps):
            self._stepper.step(*next(self._batches), lr=0.01)

    def steps_in(self, seconds: float) -> int:
        """Return the number of steps that take this many seconds, once warm."""
        self.block(WARM_UP_STEPS)
        started = time.perf_counter()
        self.block(WARM_UP_STEPS)
        return max(1, round(WARM_UP_STEPS * seconds / (time.perf_counter() - started)))


class Tracking:
    """A sweep's outbox and its MLflow."""

    def __init__(self, folder: Path) -> None:
        self._folder = SweepFolder(folder / "sweep")
        self._folder.make()
        self._uri = f"sqlite:///{folder}/mlflow.db"
        self._sample = Sample()
        self._epochs = 0
        prepare(self._uri, self._sample.experiment)
        self._outbox = Outbox(self._folder.outbox)
        self._outbox.append(self._sample.started())

    @contextmanager
    def on(self) -> Iterator[None]:
        """Record while the block runs."""
        recorder = Recorder(self._outbox, self._folder.cursor, self._uri, self._folder)
        recorder.forward()
        recorder.run_in_background()
        try:
            yield
        finally:
            progress = recorder.close()
            assert not progress.waiting, progress

    def epoch_ended(self) -> None:
        """Append the event that a training sends after an epoch."""
        self._epochs += 1
        self._outbox.append(self._sample.epoch(0, self._epochs))


@contextmanager
def watching(folder: Path) -> Iterator[None]:
    """Run the monitor of a machine without GPUs while the block runs."""
    host = Source(name="host", device="", reader=HostReader(), period_s=HOST_PERIOD_S)
    sampler = Sampler([host], RawFile(folder / "readings.csv.gz"))
    sampler.start()
    try:
        yield
    finally:
        sampler.stop()
        assert sampler.fault is None, sampler.fault


class Seconds(NamedTuple):
    """Seconds of one block by each clock."""

    wall: float
    processor: float
    """Processor time of all threads."""
    added: float
    """Processor time of the threads that exist only with tracking and monitoring."""


@contextmanager
def timed(found: list[Seconds], before: set[int | None]) -> Iterator[None]:
    """Note the seconds of a block, and those of the threads that did not exist before."""
    clocks = [time.pthread_getcpuclockid(each.ident) for each in threading.enumerate() if each.ident not in before]
    added, wall, processor = sum(map(time.clock_gettime, clocks)), time.perf_counter(), time.process_time()
    yield
    seconds = time.perf_counter() - wall, time.process_time() - processor
    found.append(Seconds(*seconds, sum(map(time.clock_gettime, clocks)) - added))


def pairs(training: Training, tracking: Tracking, folder: Path, steps: int, count: int) -> tuple[Blocks, Blocks]:
    """Return the seconds of blocks [count, 3] with tracking and monitoring, an epoch's event in each, and without."""
    loaded: list[Seconds] = []
    plain: list[Seconds] = []
    before = {each.ident for each in threading.enumerate()}

    def with_both() -> None:
        with tracking.on(), watching(folder), timed(loaded, before):
            tracking.epoch_ended()
            training.block(steps)

    def without() -> None:
        with timed(plain, before):
            training.block(steps)

    for pair in range(count):
        for run in (with_both, without) if pair % 2 else (without, with_both):
            run()
    return np.array(loaded), np.array(plain)


def spread(percent: Blocks) -> str:
    """Return median and quartiles of one value per pair, and the 95 % confidence interval of the median."""
    low, middle, high = np.percentile(percent, [25, 50, 75])
    interval = stats.quantile_test(percent, q=np.median(percent), p=0.5).confidence_interval(0.95)
    return (
        f"{middle:+.2f} % [{interval.low:+.2f}, {interval.high:+.2f}] (median), "
        f"quartiles {low:+.2f} to {high:+.2f} %, n = {len(percent)} pairs"
    )


def main() -> None:
    """Compare pairs of blocks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a block")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        training, tracking = Training(Path(name)), Tracking(Path(name))
        steps = training.steps_in(arguments.seconds)
        loaded, plain = pairs(training, tracking, Path(name), steps, arguments.pairs)
    assert not plain[:, 2].any(), "a thread ran where none should"
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"{processor_name()}, torch {torch.__version__}, 1 thread, load {load}")
    print(f"{steps} steps a block, {np.median(plain[:, 0]) * 1e3 / steps:.2f} ms each without both (median)")
    for column, clock in enumerate(("wall", "process")):
        print(
            f"a step takes longer, by the {clock:>7} clock: {spread(100 * (loaded[:, column] / plain[:, column] - 1))}"
        )
    print(f"their threads take of a core:           {spread(100 * loaded[:, 2] / loaded[:, 0])}")


if __name__ == "__main__":
    main()
