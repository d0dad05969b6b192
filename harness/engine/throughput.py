"""Timing trials: they take the same steps as training, time them once they are steady, and then time their parts."""

from __future__ import annotations

import csv
import io
import itertools

import numpy as np
import torch
from numpy.typing import NDArray

from harness.engine.batches import Batches, real_batches
from harness.engine.context import TrialContext
from harness.engine.distributed import any_rank, from_rank_0, gathered
from harness.engine.interrupts import TimedOut, Watch
from harness.engine.network import build_module
from harness.engine.process import describe_workers, load_everywhere, prepare_process
from harness.engine.results import ended, known, memory_results, model_results, speed_results
from harness.engine.roofs import roof_results
from harness.engine.step import Stepper
from harness.engine.step_breakdown import StepBreakdown
from harness.engine.timing import step_clock
from harness.events import ArtifactWritten, TrialEnded, TrialStarted
from harness.measure.parts import Parts, Share, parts_of
from harness.measure.ranks import group_seconds
from harness.measure.steady_state import WarmUp, drift_of
from harness.measure.steps import block_rates
from harness.schema import Outcome
from harness.storage import write_atomic
from harness.trial import Trial

TIMED_STEPS_FILE = "timed_steps.csv"
Seconds = NDArray[np.float64]


def time_trial(trial: Trial, context: TrialContext) -> TrialEnded:
    """Time as many steps as the recipe has.

    Every worker of the group calls this with its own context, and all of them get the same value back. It emits the
    same events as `run_trial`, except those of epochs. Nothing is evaluated and no checkpoint is written: an
    interrupted trial is timed again from the beginning.

    Raises:
        Stopped: `context.stop_requested` asked for it.
        ValueError: the batch cannot be shared by the workers, or is larger than the data set.
    """
    watch = Watch(context, started=context.clock())
    prepare_process(trial, context.device)
    context.folder.mkdir(parents=True, exist_ok=True)
    tags = describe_workers(context)
    if context.rank == 0:
        context.emit(TrialStarted(trial_id=trial.id, attempt=context.attempt, tags=tags))
    try:
        results = Timing(trial, context, watch).results()
    except TimedOut as late:
        return from_rank_0(ended(trial, context, Outcome.TIMED_OUT, reason=str(late)), context.world_size)
    results |= {"time/total_s": watch.total_s}
    # Clocks differ between ranks, but results must not.
    return from_rank_0(ended(trial, context, Outcome.FINISHED, results=results), context.world_size)


class Timing:
    """One attempt at a timing trial."""

    def __init__(self, trial: Trial, context: TrialContext, watch: Watch, *, rule: WarmUp | None = None) -> None:
        self._trial, self._context, self._watch = trial, context, watch
        self._rule = rule or WarmUp()
        self._data = load_everywhere(trial.dataset, context)
        self._module = build_module(trial, context.device)
        self._module.train()
        self._stepper = Stepper(self._module, trial.recipe, context)
        # The learning rate itself does not matter here, but it must be the same at each step.
        self._lr = trial.schedule.lr_at(0)

    def results(self) -> dict[str, float]:
        """Measure everything. The speed comes first, so that timing the parts cannot disturb it."""
        trial, context = self._trial, self._context
        batches = real_batches(self._data, trial, context)
        results = model_results(trial) | self._warm_up(batches)
        ranks = self._timed(batches)
        batches.close()
        self._write(ranks)
        seconds = group_seconds(ranks)
        results |= speed_results(trial, context, seconds) | _variation(seconds, trial.recipe.batch_size)
        results |= memory_results(context)
        results |= _parts(parts_of(self._breakdown().rounds()))
        return results | roof_results(trial, context, results["speed/train_flops_per_s"])

    def _warm_up(self, batches: Batches) -> dict[str, float]:
        """Take steps until every rank finds them steady, or the rule gives up."""
        medians: list[float] = []
        steady = False
        while not steady and len(medians) < self._rule.most_windows:
            medians.append(float(np.median(self._take(batches, self._rule.window_steps))))
            unsteady = not self._rule.is_steady(medians)
            steady = not any_rank([unsteady], self._context.world_size, self._context.device)[0]
        return {"speed/warmup_steps": len(medians) * self._rule.window_steps, "speed/warmed_up": float(steady)}

    def _timed(self, batches: Batches) -> Seconds:
        """Return the seconds of each step by each rank's own clock, [ranks, steps].

        All ranks begin together and never pause.
        """
        context = self._context
        any_rank([False], context.world_size, context.device)
        context.timing(True)
        mine = torch.tensor(self._take(batches, self._trial.schedule.steps), dtype=torch.float64)
        context.timing(False)
        found: Seconds = gathered(mine, context.world_size, context.device).numpy()
        return found

    def _take(self, batches: Batches, count: int) -> list[float]:
        clock = step_clock(self._context.device, self._context.clock)
        clock.start()
        for images, labels in itertools.islice(batches, count):
            self._stepper.step(images, labels, lr=self._lr)
            clock.lap()
            self._watch.step_done()
        return clock.take()

    def _breakdown(self) -> StepBreakdown:
        return StepBreakdown(self._trial, self._context, self._data, self._module, self._stepper, self._watch)

    def _write(self, ranks: Seconds) -> None:
        trial, context = self._trial, self._context
        if context.rank == 0:
            write_atomic(context.folder / TIMED_STEPS_FILE, timed_steps_csv(ranks))
            context.emit(ArtifactWritten(trial_id=trial.id, attempt=context.attempt, path=TIMED_STEPS_FILE))


def timed_steps_csv(ranks: Seconds) -> bytes:
    """Return every timed step as a table: the group's seconds, and each rank's by its own clock. Steps count from 1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["step", "seconds", *(f"seconds_rank_{rank}" for rank in range(len(ranks)))])
    for step, (group, own) in enumerate(zip(group_seconds(ranks).tolist(), ranks.T.tolist(), strict=True), start=1):
        writer.writerow([step, group, *own])
    return text.getvalue().encode()


def _variation(seconds: Seconds, images_per_step: int) -> dict[str, float]:
    """Return how much the speed varied, and whether it still changed while it was timed."""
    rates, drift = block_rates(seconds, images_per_step=images_per_step), drift_of(seconds)
    found: dict[str, float] = {}
    if rates is not None:
        found |= {f"speed/block_images_per_s_{name}": getattr(rates, name) for name in ("p5", "p50", "p95")}
    if drift is not None:
        found |= {"speed/drift_pct": drift.pct, "speed/settled": float(drift.is_steady)}
    return found


def _parts(parts: Parts) -> dict[str, float]:
    phases: dict[str, float | None] = {f"parts/{name}_ms": value for name, value in parts.phases_ms.items()}
    steps: dict[str, float | None] = {
        "parts/compute_ms": parts.compute_ms,
        "parts/data_ms": parts.data_ms,
        "parts/whole_ms": parts.whole_ms,
        "parts/slowest_rank": parts.slowest_rank,
    }
    shares = {
        "parts/data_stall_pct": parts.data_stall_pct,
        "parts/communication_pct": parts.communication_pct,
        "parts/straggler_pct": parts.straggler_pct,
    }
    return known(phases | steps | {key: value for name, one in shares.items() for key, value in _share(name, one)})


def _share(name: str, found: Share | None) -> list[tuple[str, float | None]]:
    return [] if found is None else [(name, found.value), (f"{name}_low", found.low), (f"{name}_high", found.high)]
