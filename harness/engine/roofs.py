"""Distance of a trial's speed from its device's limits: published ones if they are known, and measured ones."""

from __future__ import annotations

from harness.engine.context import TrialContext
from harness.engine.process import device_name
from harness.engine.results import complexity_of
from harness.measure.machine_peaks import precisions
from harness.measure.peak_cache import MeasuredPeak, measured_peak, share_of_measured_peak_pct
from harness.measure.peaks import published_peaks
from harness.measure.roofline import Roofs, intensity
from harness.trial import Trial


def roof_results(trial: Trial, context: TrialContext, flops_per_s: float) -> dict[str, float]:
    """Return the shares of the measured peak and of the binding roof. All ranks take part.

    Args:
        trial: the trial that was timed.
        context: the context in which it was timed.
        flops_per_s: the training FLOPs per second of the whole group.
    """
    images = trial.recipe.batch_size // context.world_size
    flops_per_byte = intensity(complexity_of(trial), images=images, precision=trial.recipe.precision)
    results = {"roofline/flops_per_byte": flops_per_byte}
    if trial.scale.gpus_per_worker < 1 and context.device.type == "cuda":
        return results  # others compute on the same device, so the rest of its peaks is not known
    measured = _measured(trial, context)
    if measured is not None:
        results |= {
            "device/matmul_flops_per_s": measured.matmul_flops_per_s,
            "device/copy_bytes_per_s": measured.copy_bytes_per_s,
            "speed/measured_peak_pct": share_of_measured_peak_pct(flops_per_s, measured, devices=context.world_size),
        }
    roofs = _roofs(trial, context, measured)
    if roofs is not None:
        attainable = roofs.attainable_flops_per_s(flops_per_byte) * context.world_size
        results |= {
            "roofline/ridge_flops_per_byte": roofs.ridge,
            "roofline/attainable_pct": 100 * flops_per_s / attainable,
        }
    return results


def _measured(trial: Trial, context: TrialContext) -> MeasuredPeak | None:
    """Return the measured peak; None if the device computes in this precision only through another: fp16 on a CPU."""
    if trial.recipe.precision not in precisions(context.device):
        return None
    return measured_peak(context.device, trial.recipe.precision)


def _roofs(trial: Trial, context: TrialContext, measured: MeasuredPeak | None) -> Roofs | None:
    """Return the published roofs, or else the measured ones; None if neither are known."""
    published = published_peaks(device_name(context.device))
    if published is not None:
        return Roofs(
            flops_per_s=published.flops_per_s[trial.recipe.precision],
            bytes_per_s=published.bytes_per_s,
        )
    if measured is None:
        return None
    return Roofs(flops_per_s=measured.matmul_flops_per_s, bytes_per_s=measured.copy_bytes_per_s)
