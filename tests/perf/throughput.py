"""Compare training through the harness with the same loop hand-written in plain PyTorch: images per second.

    python -m tests.perf.throughput [--epochs N] [--threads N] [--only TEXT]

Both train the same network on the same batches with the same optimizer, schedule, precision, memory format, compiler
and number of threads, and keep the same loss and error counts. Epochs of the two alternate in one process, so that
other load on the machine affects both alike. Time is that of training steps alone, data included; the first epoch of
each, which compiles, is left out. The speed is also printed as a share of the processor's rate of matrix products,
measured right afterwards in the same precision with as many threads.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from harness.engine import TrialContext, run_trial
from harness.engine.results import complexity_of
from harness.events import EpochEnded, Event
from harness.measure.identity import processor_name
from harness.measure.machine_peaks import matmul_flops_per_s, precisions
from harness.trial import Scale, Trial
from models import MODELS
from workloads.datasets import DATASETS
from workloads.datasets.in_memory import ImagesInMemory
from workloads.datasets.spec import DatasetSpec
from workloads.recipes import RECIPES

Seconds = NDArray[np.float64]
CPU = torch.device("cpu")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise(DatasetSpec):
    """Random images of CIFAR's shape."""

    name: ClassVar[str] = "noise"
    channels: ClassVar[int] = 3
    image_size: ClassVar[int] = 32
    classes: ClassVar[int] = 10
    train_images: ClassVar[int] = 512
    test_images: ClassVar[int] = 32

    def fingerprint(self) -> str:
        return "noise"

    def load(self, device: torch.device) -> ImagesInMemory:
        rng = np.random.default_rng(0)
        train, test = (
            (rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8), rng.integers(0, 10, count))
            for count in (self.train_images, self.test_images)
        )
        return ImagesInMemory.normalized(train=train, test=test, device=device)


def make_trial(dataset: DatasetSpec, *, label: str, threads: int, **recipe: Any) -> Trial:
    """Make a trial of ResNet-20, option A, under the quick recipe with some of its settings changed."""
    return Trial(
        model=MODELS["resnet_cifar"](depth=20, shortcut="A"),
        dataset=dataset,
        recipe=dataclasses.replace(RECIPES["quick"], **recipe),
        scale=Scale(workers=1, device="cpu", cpus_per_worker=threads),
        seed=0,
        fingerprint=dataset.fingerprint(),
        label=label,
    )


def plain_pytorch(trial: Trial) -> Iterator[list[float]]:
    """Yield the seconds of each step, epoch by epoch, of a loop as one would write it for this trial alone."""
    recipe = trial.recipe
    torch.set_num_threads(trial.scale.cpus_per_worker)
    torch.manual_seed(trial.seed)
    data = trial.dataset.load(torch.device("cpu"))
    images, labels = data.train_images, data.train_labels
    net = trial.model.build(in_channels=trial.dataset.channels, num_classes=10, image_size=trial.dataset.image_size)
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    net = net.to(memory_format=layout)
    call = torch.compile(net, dynamic=False) if recipe.compile else net
    low_precision = torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bf16")
    optimizer = torch.optim.SGD(
        net.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    steps = len(labels) // recipe.batch_size
    for epoch in range(trial.schedule.epochs):
        net.train()
        order = torch.randperm(len(labels))
        loss_sum, errors = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        seconds = []
        before = time.perf_counter()
        for i in range(steps):
            batch = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
            x, y = images[batch].to(memory_format=layout), labels[batch]
            optimizer.param_groups[0]["lr"] = trial.schedule.lr_at(epoch * steps + i)
            with low_precision:
                logits = call(x)
                loss = functional.cross_entropy(logits, y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            loss_sum += loss.detach()
            errors += (logits.detach().argmax(1) != y).sum()
            now = time.perf_counter()
            seconds.append(now - before)
            before = now
        yield seconds


def in_turn(trial: Trial) -> tuple[Seconds, Seconds]:
    """Return the seconds of each step, [epochs, steps], of the harness and of the plain loop, in alternating epochs."""
    plain, theirs = plain_pytorch(trial), []

    def emit(event: Event) -> None:
        if isinstance(event, EpochEnded):
            theirs.append(next(plain))

    with tempfile.TemporaryDirectory() as folder:
        run_trial(trial, TrialContext(Path(folder), 1, 0, 1, CPU, emit=emit, stop_requested=lambda: False))
        ours = np.loadtxt(Path(folder) / "steps.csv", delimiter=",", skiprows=1, usecols=2)
    return ours.reshape(len(theirs), -1), np.array(theirs)


def compare(trial: Trial) -> None:
    """Print images per second of both, their share of the peak, and the ratio of each pair of epochs."""
    ours, theirs = (seconds[1:] for seconds in in_turn(trial))
    recipe, flops = trial.recipe, complexity_of(trial).train_flops_per_image
    print(
        f"\n{trial.label}, batch {recipe.batch_size}, {recipe.precision}, {ours.shape[1]} steps an epoch, load {load()}"
    )
    speeds = {
        "plain PyTorch": recipe.batch_size / theirs.mean(axis=1),
        "harness": recipe.batch_size / ours.mean(axis=1),
    }
    for name, rates in speeds.items():
        print(f"{name:>14}: {spread(rates, '.1f')} images/s")
    print(f"share of peak: {shares(speeds, flops, recipe.precision)}")
    print(f"ratio of pairs: {spread(theirs.mean(axis=1) / ours.mean(axis=1), '.3f')}")
    print(f"all steps: {theirs.sum() / ours.sum():.3f}; median step: {np.median(theirs) / np.median(ours):.3f}")


def shares(speeds: Mapping[str, Seconds], flops: int, precision: str) -> str:
    """Return the speeds as shares of the processor's matrix product rate, measured now in this precision."""
    if precision not in precisions(CPU):
        return f"none, this processor has no instructions for {precision} and emulates it"
    peak = matmul_flops_per_s(CPU, precision)
    each = (f"{name} {100 * float(np.median(rates)) * flops / peak.high:.1f} %" for name, rates in speeds.items())
    return f"{', '.join(each)} of {peak.high / 1e9:.0f} GFLOP/s, the best of {peak.n} (slowest {peak.low / 1e9:.0f})"


def spread(values: Seconds, form: str) -> str:
    """Return median, quartiles and n of one value per epoch."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"median {middle:{form}}, quartiles {low:{form}} to {high:{form}}, n = {len(values)} epochs"


def load() -> str:
    """Return the load average of the last minute: processes that ran or waited to run."""
    return Path("/proc/loadavg").read_text().split()[0]


MODES: dict[str, dict[str, Any]] = {
    "fp32": {},
    "bf16": {"precision": "bf16"},
    "channels last": {"channels_last": True},
    "compiled": {"compile": True},
    "bf16, channels last, compiled": {"precision": "bf16", "channels_last": True, "compile": True},
}
"""Mode -> settings that differ from the quick recipe at 32x32, batch 128."""


def main() -> None:
    """Compare on the digits, and on images of CIFAR's shape in each mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=25, help="epochs of each on the digits; a third as many at 32x32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="", help="only comparisons whose name holds this")
    arguments = parser.parse_args()
    print(f"{processor_name()}, torch {torch.__version__}, {arguments.threads} threads, load {load()}")
    DATASETS["noise"] = Noise
    digits = make_trial(
        DATASETS["digits"](),
        label="digits 8x8, resnet-20-A",
        threads=arguments.threads,
        epochs=arguments.epochs,
        batch_size=64,
    )
    few = max(3, arguments.epochs // 3)
    trials = [digits] + [
        make_trial(
            Noise(), label=f"32x32, resnet-20-A: {name}", threads=arguments.threads, epochs=few, batch_size=128, **mode
        )
        for name, mode in MODES.items()
    ]
    for trial in trials:
        if arguments.only in trial.label:
            compare(trial)


if __name__ == "__main__":
    main()
