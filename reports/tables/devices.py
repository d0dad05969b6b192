"""Table of the measured activity of the devices during the trials."""

from __future__ import annotations

from collections.abc import Sequence

from reports import formatting
from reports.stats.cells import Cell
from reports.stats.summaries import hardware_of
from reports.tables.report_tables import Column, Table

ACTIVITY = {
    "speed/mfu_pct": "MFU, %",
    "speed/measured_peak_pct": "Share of the measured peak, %",
    "device/busy_pct": "Some kernel ran, %",
    "device/sm_pct": "Multiprocessors busy, %",
    "device/tensor_pct": "Tensor cores busy, %",
    "device/dram_pct": "Memory bandwidth, %",
    "device/power_w": "Power of one GPU, W",
    "device/energy_j": "Energy of a trial, GPUs alone, J",
    "device/energy_j_per_image": "Energy per image, GPUs alone, J",
    "host/cpu_pct": "Processors of the hosts, busy, %",
}


def activity_table(cells: Sequence[Cell]) -> Table:
    """Return how busy the devices were and what they used; no rows if nothing was measured."""
    shown = [key for key in ACTIVITY if any(hardware_of(cell, key).n for cell in cells)]
    measured = [cell for cell in cells if any(hardware_of(cell, key).n for key in shown)]
    return Table(
        name="activity",
        caption="What the devices did: mean over trials, 95 % interval",
        columns=(Column(title="Cell"), *(Column(title=ACTIVITY[key], numeric=True) for key in shown)),
        rows=tuple(
            (cell.label, *(formatting.with_interval(hardware_of(cell, key)) for key in shown)) for cell in measured
        ),
        note="Given only where all trials of a cell ran on the same kind of device.",
    )
