"""What tracking costs a training step: blocks of steps with it and without it, in turn, in one process.

    python tests/perf/overhead.py [--pairs N] [--seconds S]

With tracking, the recorder's thread looks at the outbox every second and sends what is new to MLflow on a SQLite file,
and each block begins with the event of an epoch. All of it shares the interpreter with the training, as it does without
Ray; under Ray it runs in another process. Which of the two comes first changes from pair to pair. Time is told by the
clock on the wall and by the processor's, which other programs disturb less. Under 1 % is what is promised; an event's
cost is the same however long its epoch, so shorter blocks than the default show more of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from harness.engine import TrialContext
from harness.engine.batches import real_batches
from harness.engine.network import build_module
from harness.engine.process import prepare_process
from harness.engine.step import Stepper
from harness.measure.identity import processor_name
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
    """ResNet-20 on the digits, one thread: steps of a few hundredths of a second, where an overhead shows."""
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
    """Steps without end, block after block."""

    def __init__(self, folder: Path) -> None:
        asked = trial()
        context = TrialContext(folder, 1, 0, 1, CPU, emit=lambda _event: None, stop_requested=lambda: False)
        prepare_process(asked, CPU)
        module = build_module(asked, CPU)
        module.train()
        self._stepper = Stepper(module, asked.recipe, context)
        self._batches = real_batches(asked.dataset.load(CPU), asked, context)

    def block(self, steps: int) -> None:
        """So many steps."""
        for _ in range(steps):
            self._stepper.step(*next(self._batches), lr=0.01)

    def steps_in(self, seconds: float) -> int:
        """How many steps take so long, once warm."""
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
        """Recording, for as long as the block runs."""
        recorder = Recorder(self._outbox, self._folder.cursor, self._uri, self._folder)
        recorder.forward()
        recorder.run_in_background()
        try:
            yield
        finally:
            progress = recorder.close()
            assert not progress.waiting, progress

    def epoch_ended(self) -> None:
        """What a training says after an epoch."""
        self._epochs += 1
        self._outbox.append(self._sample.epoch(0, self._epochs))


class Seconds(NamedTuple):
    """Of a block."""

    wall: float
    processor: float
    """Of all threads."""


@contextmanager
def timed(found: list[Seconds]) -> Iterator[None]:
    """Note how long a block takes."""
    wall, processor = time.perf_counter(), time.process_time()
    yield
    found.append(Seconds(time.perf_counter() - wall, time.process_time() - processor))


def pairs(training: Training, tracking: Tracking, steps: int, count: int) -> tuple[Blocks, Blocks]:
    """Seconds of blocks [count, 2] with tracking, each with the event of an epoch, and of as many without."""
    tracked: list[Seconds] = []
    plain: list[Seconds] = []

    def with_tracking() -> None:
        with tracking.on(), timed(tracked):
            tracking.epoch_ended()
            training.block(steps)

    def without() -> None:
        with timed(plain):
            training.block(steps)

    for pair in range(count):
        for run in (with_tracking, without) if pair % 2 else (without, with_tracking):
            run()
    return np.array(tracked), np.array(plain)


def spread(values: Blocks) -> str:
    """Median and quartiles of one value a pair."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:+.2f} % (median), quartiles {low:+.2f} to {high:+.2f} %, n = {len(values)} pairs"


def main() -> None:
    """Compare pairs of blocks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20.0, help="of a block")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        training, tracking = Training(Path(name)), Tracking(Path(name))
        steps = training.steps_in(asked.seconds)
        tracked, plain = pairs(training, tracking, steps, asked.pairs)
    load = Path("/proc/loadavg").read_text().split()[0]
    print(f"{processor_name()}, torch {torch.__version__}, 1 thread, load {load}")
    print(f"{steps} steps a block, {np.median(plain[:, 0]) * 1e3 / steps:.2f} ms each without tracking (median)")
    for column, clock in enumerate(Seconds._fields):
        print(f"tracking adds, {clock:>9} clock: {spread(100 * (tracked[:, column] / plain[:, column] - 1))}")


if __name__ == "__main__":
    main()
