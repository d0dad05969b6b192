"""Time to start a trial: in a warm worker group, by its own `fit()` of Ray Train, and by `torchrun`.

    python -m tests.perf.orchestrators [--rounds N]

All three are measured in turn in one run, on a Ray that is already up. Every figure is the whole time less that of
training steps and of evaluation: in a warm group from one trial's end to the next one's, otherwise that of the call
around one trial. So a warm start includes all costs of a lease: the end's record on disk, the queue, the next network
and its optimizer, its data, and the file of its steps. `fit` and `torchrun` also include the start and the stop of
their processes.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from harness.cluster.group_settings import GroupSettings
from harness.cluster.queue_client import QueueClient
from harness.cluster.session import RaySession
from harness.cluster.worker_group import fit
from harness.engine.context import TrialContext
from harness.engine.run import run_trial
from harness.events import EpochEnded, Event, TrialEnded
from harness.launch import inline
from harness.measure.identity import processor_name
from harness.scheduling.types import Job, Limits, Shape
from harness.storage import SweepFolder
from harness.tracking.outbox import Outbox
from harness.trial import Scale, Trial
from models import MODELS
from workloads.datasets import DATASETS
from workloads.recipes import RECIPES

ROOT = Path(__file__).parents[2]
SHAPE = Shape(workers=1, device="cpu", cpus_per_worker=1, gpus_per_worker=0.0)
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1")
WARM_TRIALS = 3
"""Number of trials in each warm group. The first one's start belongs to `fit`, so a round has two warm starts."""


def a_trial(seed: int) -> Trial:
    return Trial(
        model=MODELS["resnet_cifar"](depth=8, shortcut="A", width=8),
        dataset=DATASETS["digits"](),
        recipe=dataclasses.replace(RECIPES["quick"], epochs=1),
        scale=Scale(),
        seed=seed,
        fingerprint="not used here",
        label="resnet-8-A",
    )


def fit_events(trials: int, folder: Path) -> tuple[list[Event], float]:
    """Return the events of one `fit` that ran some trials, and the seconds that the call took."""
    sweep = SweepFolder(folder)
    sweep.make()
    jobs = [Job(trial=a_trial(seed), shape=SHAPE, cost=1.0) for seed in range(trials)]
    queue = QueueClient.start(jobs, sweep.outbox, Limits(max_attempts=1))
    began = time.monotonic()
    fit("group", SHAPE, queue, GroupSettings(folder=folder))
    return [event for event, _ in Outbox(sweep.outbox).read()], time.monotonic() - began


def work_s(events: Sequence[Event], ended: TrialEnded) -> float:
    """Return the seconds of a trial's training steps and evaluations."""
    curve = [event for event in events if isinstance(event, EpochEnded) and event.trial_id == ended.trial_id]
    return curve[-1].values["time/train_s"] + ended.results["time/evaluate_s"]


def warm_starts_s(events: Sequence[Event]) -> list[float]:
    """Return the seconds from each trial's end to the next one's, less the work in between."""
    ends = [event for event in events if isinstance(event, TrialEnded)]
    return [
        (after.time_ms - before.time_ms) / 1000 - work_s(events, after) for before, after in itertools.pairwise(ends)
    ]


def around_s(call_s: float, events: Sequence[Event]) -> float:
    """Return the seconds of a call that ran one trial, less the trial's work."""
    (ended,) = [event for event in events if isinstance(event, TrialEnded)]
    return call_s - work_s(events, ended)


def torchrun_s(folder: Path) -> float:
    """Run one trial by torchrun, without Ray; return the seconds of the call, less the trial's work."""
    began = time.monotonic()
    subprocess.run(
        [*TORCHRUN, "-m", "tests.perf.orchestrators", "--child", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    call_s = time.monotonic() - began
    return around_s(call_s, [event for event, _ in Outbox(folder / "outbox.jsonl").read()])


def child(folder: Path) -> None:
    """Run one trial in a process that torchrun started."""
    outbox = Outbox(folder / "outbox.jsonl")
    with inline.processes(60.0) as among:
        torch.set_num_threads(1)
        context = TrialContext(
            folder=folder,
            attempt=1,
            rank=among.rank,
            world_size=among.world_size,
            device=torch.device("cpu"),
            emit=outbox.append,
            stop_requested=lambda: False,
        )
        outbox.append(run_trial(a_trial(0), context))


def summary(seconds: Sequence[float]) -> str:
    middle = statistics.median(seconds)
    unit, scale = ("ms", 1000) if middle < 1 else ("s", 1)
    low, high = min(seconds) * scale, max(seconds) * scale
    return f"{middle * scale:8.1f} {unit:2}  {low:8.1f} to {high:8.1f}  n = {len(seconds)}"


def measure(rounds: int) -> None:
    warm: list[float] = []
    fits: list[float] = []
    torchruns: list[float] = []
    with tempfile.TemporaryDirectory() as scratch, RaySession(None) as session:
        session.connect()
        for turn in range(rounds + 1):
            events, call_s = fit_events(1, Path(scratch) / f"fit-{turn}")
            group, _ = fit_events(WARM_TRIALS, Path(scratch) / f"warm-{turn}")
            folder = Path(scratch) / f"torchrun-{turn}"
            folder.mkdir()
            run_s = torchrun_s(folder)
            if turn:  # the first turn reads everything from disk for the first time
                fits.append(around_s(call_s, events))
                warm.extend(warm_starts_s(group))
                torchruns.append(run_s)
    print(f"Starting a trial, median and range, on {processor_name()}, torch {torch.__version__}")
    for name, seconds in (("warm group", warm), ("a fit() of its own", fits), ("torchrun", torchruns)):
        print(f"  {name:20} {summary(seconds)}")
    print(f"  fit() / warm group: {statistics.median(fits) / statistics.median(warm):.0f}")
    print(f"  torchrun / warm group: {statistics.median(torchruns) / statistics.median(warm):.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child)
    else:
        measure(arguments.rounds)
