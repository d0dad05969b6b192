"""Results that training and timing trials have in common."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from harness.engine.context import TrialContext
from harness.engine.distributed import all_objects
from harness.engine.process import device_name, memory_peak_gib
from harness.events import TrialEnded
from harness.measure.peaks import published_peaks
from harness.measure.roofline import mfu_pct
from harness.measure.steps import speed_of
from harness.schema import Outcome
from harness.trial import Trial
from models.complexity import Complexity, count


def ended(
    trial: Trial, context: TrialContext, outcome: Outcome, *, reason: str = "", results: dict[str, float] | None = None
) -> TrialEnded:
    """Return the end of an attempt. Results that are not finite are unknown, and are left out."""
    return TrialEnded(
        trial_id=trial.id,
        attempt=context.attempt,
        outcome=outcome,
        reason=reason,
        results=only_finite(results or {}),
    )


def only_finite(values: dict[str, float]) -> dict[str, float]:
    """Return the values that are finite. The others are unknown, and are left out."""
    return {key: value for key, value in values.items() if math.isfinite(value)}


def known(values: dict[str, float | None]) -> dict[str, float]:
    """Return the values that are known."""
    return {key: value for key, value in values.items() if value is not None}


def complexity_of(trial: Trial) -> Complexity:
    """Count the network's parameters and operations, on the data set's images."""
    dataset = trial.dataset
    return count(trial.model, in_channels=dataset.channels, num_classes=dataset.classes, image_size=dataset.image_size)


def model_results(trial: Trial) -> dict[str, float]:
    """Return the metrics of the network's size and cost."""
    complexity = complexity_of(trial)
    return {
        "model/params": complexity.params,
        "model/macs": complexity.macs,
        "model/train_flops_per_image": complexity.train_flops_per_image,
    }


def speed_results(trial: Trial, context: TrialContext, seconds: NDArray[np.float64]) -> dict[str, float]:
    """Return the speed of the whole group from the seconds of each of its steps; unknown metrics are left out."""
    speed = speed_of(seconds, images_per_step=trial.recipe.batch_size)
    if speed is None:
        return {"speed/steps_timed": 0}
    flops_per_s = speed.images_per_s * complexity_of(trial).train_flops_per_image
    return known(
        {
            "speed/images_per_s": speed.images_per_s,
            "speed/images_per_s_low": speed.low,
            "speed/images_per_s_high": speed.high,
            "speed/step_ms_p50": speed.step_ms_p50,
            "speed/step_ms_p95": speed.step_ms_p95,
            "speed/steps_timed": speed.steps,
            "speed/train_flops_per_s": flops_per_s,
            "speed/mfu_pct": _mfu_pct(trial, context, flops_per_s),
        }
    )


def _mfu_pct(trial: Trial, context: TrialContext, flops_per_s: float) -> float | None:
    """Return the MFU; None if a peak is unknown, if devices differ, or if others may compute on the same device."""
    names = set(all_objects(device_name(context.device), context.world_size))
    peaks = published_peaks(names.pop())
    if peaks is None or names or trial.scale.gpus_per_worker < 1:
        return None
    peak = peaks.flops_per_s[trial.recipe.precision]
    return mfu_pct(flops_per_s=flops_per_s, peak_flops_per_s=peak, devices=context.world_size)


def memory_results(context: TrialContext) -> dict[str, float]:
    """Return the most memory that any rank's tensors held; empty if devices do not count it. All ranks take part."""
    found = [gib for gib in all_objects(memory_peak_gib(context.device), context.world_size) if gib is not None]
    return {"device/memory_peak_gib": max(found)} if found else {}
