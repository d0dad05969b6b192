"""Results of all watched devices of an attempt together: metrics and tags of its run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.measure import host, nvml
from harness.measure.sampler import Summary
from harness.schema import Tag

MEANS = {
    nvml.BUSY: "device/busy_pct",
    nvml.SM: "device/sm_pct",
    nvml.TENSOR: "device/tensor_pct",
    nvml.DRAM: "device/dram_pct",
    nvml.POWER: "device/power_w",
    host.CPU: "host/cpu_pct",
}
"""Metric -> the key of its mean over time and over the devices (hosts) that have it. Power is per device."""

PEAKS = {nvml.POWER: "device/power_peak_w"}
"""Metric -> the key of its highest value on any device."""


def measured(summaries: Sequence[Summary], *, images: int | None, whole_trial: bool) -> dict[str, float]:
    """Return metrics of `harness.schema.METRICS`; those that no device reports are left out.

    Args:
        summaries: summaries of every device and host of the attempt.
        images: number of images trained on in the attempt; None if unknown.
        whole_trial: whether the attempt began at the start. The whole energy of a resumed trial is unknown.
    """
    values = {key: _mean(found) for name, key in MEANS.items() if (found := _each(summaries, name, "means"))}
    values |= {key: max(found) for name, key in PEAKS.items() if (found := _each(summaries, name, "peaks"))}
    energy_j = _energy_j(summaries)
    if energy_j is not None and whole_trial:
        values["device/energy_j"] = energy_j
    if energy_j is not None and images:
        values["device/energy_j_per_image"] = energy_j / images
    return values


def of_timed_steps(summaries: Sequence[Summary], *, images_per_s: float | None) -> dict[str, float]:
    """Return the joules per image of a timing trial: the GPUs' power in timed steps, over the images per second."""
    powers = [summary.timed_power_w for summary in summaries if summary.source != "host"]
    known = [power_w for power_w in powers if power_w is not None]
    if not known or len(known) < len(powers) or not images_per_s:
        return {}
    return {"device/energy_j_per_image": sum(known) / images_per_s}


def describe(summaries: Sequence[Summary], faults: Sequence[str]) -> dict[str, str]:
    """Return tags: conditions that distort the measurement, and metrics that could not be measured."""
    gpus = [summary for summary in summaries if summary.source != "host"]
    tags = {Tag.MONITOR_ABSENT: "; ".join([*_absences(summaries), *faults]) or "nothing"}
    if gpus:
        tags[Tag.DEVICE_IDS] = " ".join(summary.device.partition(" ")[0] for summary in gpus if summary.device)
    if _any_reports(gpus, lambda summary: nvml.SLOWDOWN not in {*summary.absent, *summary.partial}):
        tags[Tag.DEVICE_THROTTLED] = "; ".join(_slowdowns(gpus)) or "no"
    if _any_reports(gpus, lambda summary: summary.other_processes is not None):
        others = sum(summary.other_processes or 0 for summary in gpus)
        tags[Tag.DEVICE_SHARED] = f"with {others} other process{'es' * (others > 1)}" if others else "no"
    sources = {summary.energy_from for summary in gpus}
    if gpus and None not in sources:
        tags[Tag.ENERGY_FROM] = " + ".join(sorted(source for source in sources if source))
    return {key.value: value for key, value in tags.items() if value}


def _energy_j(summaries: Sequence[Summary]) -> float | None:
    """Return the joules of all GPUs; None if one of them reports none, since the sum would seem to be complete."""
    energies = [summary.energy_j for summary in summaries if summary.source != "host"]
    known = [energy_j for energy_j in energies if energy_j is not None]
    return sum(known) if known and len(known) == len(energies) else None


def _each(summaries: Sequence[Summary], name: str, kind: str) -> list[float]:
    """Return the values of all that have the metric; none if one of them had it for a part of the trial."""
    if any(name in summary.partial for summary in summaries):
        return []
    return [getattr(summary, kind)[name] for summary in summaries if name in getattr(summary, kind)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _any_reports(gpus: Sequence[Summary], condition: Callable[[Summary], bool]) -> bool:
    """Return whether any device with readings meets the condition."""
    return any(summary.readings and condition(summary) for summary in gpus)


def _slowdowns(gpus: Sequence[Summary]) -> Iterator[str]:
    for summary in gpus:
        for reason, share_pct in summary.slowdowns_pct.items():
            yield f"{summary.source}: {reason} in {share_pct:.0f} % of readings"


def _absences(summaries: Sequence[Summary]) -> Iterator[str]:
    for summary in summaries:
        if summary.lost:
            yield f"{summary.source} was lost: {summary.lost}"
        for metric, reason in summary.absent.items():
            yield f"{summary.source} {metric}: {reason}"
        for reason in dict.fromkeys(summary.partial.values()):
            metrics = ", ".join(metric for metric, why in summary.partial.items() if why == reason)
            yield f"{summary.source} {metrics}: {reason}"
