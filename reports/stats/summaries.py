"""Summaries of the seeds of one cell."""

from __future__ import annotations

import math
from dataclasses import replace

from harness.schema import Outcome
from reports.stats.cells import IMAGES, Cell, Trial, as_number, as_text
from reports.stats.inference import Estimate, estimate, estimate_pct

SPEED = "speed/images_per_s"
MEMORY = "device/memory_peak_gib"
TIME = "time/total_s"
STALL, COMMUNICATION = "parts/data_stall_pct", "parts/communication_pct"
_SIGNED = (STALL, COMMUNICATION)
"""Differences, which noise may make negative. They are not cut at zero."""


def error_of(cell: Cell, metric: str) -> Estimate:
    """Return the mean error over the cell's results with its interval."""
    images = cell.constant(IMAGES[metric])
    return estimate_pct(cell.values(metric), images=None if images is None else int(images))


def hardware_of(cell: Cell, key: str, *, floor: float = 0.0) -> Estimate:
    """Return the mean of a hardware-dependent quantity over finished trials; none if their devices differ.

    Args:
        cell: the cell whose trials are averaged.
        key: key of the metric.
        floor: the quantity's lower limit, at which an interval is cut.
    """
    finished = [trial for trial in cell.trials if trial.outcome == Outcome.FINISHED]
    if len({device_of(trial) for trial in finished}) != 1:
        return estimate(())
    values = [value for trial in finished if (value := trial.number(key)) is not None]
    return estimate(values, floor=floor, ceiling=100.0 if _is_share(key) else math.inf)


def _is_share(key: str) -> bool:
    """Whether the metric is a share of a device's or a host's time.

    A share of a peak may be above 100 % if the peak was measured badly.
    """
    return key.startswith(("device/", "host/")) and key.endswith("_pct")


def measured(cell: Cell, key: str) -> Estimate:
    """Return the mean as `hardware_of` does; a single timing trial gets the interval of its own steps or rounds."""
    found = hardware_of(cell, key, floor=-math.inf if key in _SIGNED else 0.0)
    if found.n != 1 or not cell.timed:
        return found
    [trial] = [trial for trial in cell.trials if trial.outcome == Outcome.FINISHED and trial.number(key) is not None]
    return replace(found, low=trial.number(f"{key}_low"), high=trial.number(f"{key}_high"))


def device_of(trial: Trial) -> str | None:
    """Return `2 x NVIDIA H200`; None if the trial does not name its device."""
    name, count = as_text(trial.row.get("device.name")), as_number(trial.row.get("device.count"))
    if not name:
        return None
    return f"{int(count)} x {name}" if count else name
