"""List of the devices that the monitor would watch here: all that NVML shows, and their readable metrics."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from harness.measure import nvml
from harness.measure.nvml import COLUMNS, GpuReader

BETWEEN_S = 0.1
"""Seconds between two readings. Activity is measured over this time."""


@dataclass(frozen=True, kw_only=True)
class DeviceProbe:
    """One device and its metrics."""

    uuid: str
    name: str
    readable: tuple[str, ...]
    absent: Mapping[str, str]
    """Metric -> why it cannot be read."""


def probe() -> list[DeviceProbe]:
    """Return every GPU and slice.

    Raises:
        NoDevice: NVML is not available, or has no driver.
    """
    nvml.start()
    try:
        return [_probe_one(gpu) for gpu in nvml.every_device()]
    finally:
        nvml.stop()


def _probe_one(gpu: nvml.Gpu) -> DeviceProbe:
    reader = GpuReader(gpu)
    try:
        found = reader.read()
        time.sleep(BETWEEN_S)
        found |= reader.read()
    finally:
        reader.close()
    absent = {**reader.absent, **{name: why for name, why in reader.errors.items() if name not in found}}
    if reader.lost:
        absent |= {name: reader.lost for name in COLUMNS if name not in found}
    return DeviceProbe(
        uuid=gpu.uuid, name=gpu.name, readable=tuple(name for name in COLUMNS if name in found), absent=absent
    )
