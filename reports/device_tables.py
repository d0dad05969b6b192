"""Where a step's time went, and what the devices did meanwhile: tables of what was measured, and of nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from harness.schema import METRICS
from reports import wording
from reports.cells import Cell
from reports.summaries import hardware_of
from reports.tables import Column, Table

STEPS = {
    "parts/forward_ms": "Forward, ms",
    "parts/backward_ms": "Backward, ms",
    "parts/optimizer_ms": "Optimizer, ms",
    "parts/whole_ms": "Whole step, ms",
    "parts/data_stall_pct": "Data stall, %",
    "parts/communication_pct": "Exposed communication, %",
    "parts/straggler_pct": "Straggler spread, %",
}
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


def steps_table(cells: Sequence[Cell]) -> Table:
    """A step taken apart; no rows where no trial was."""
    return _table("steps", "Where a step's time goes: mean over trials, 95 % interval", STEPS, cells)


def activity_table(cells: Sequence[Cell]) -> Table:
    """How busy the devices were and what they used; no rows where nothing was measured."""
    return _table("activity", "What the devices did: mean over trials, 95 % interval", ACTIVITY, cells)


def _table(name: str, caption: str, titles: dict[str, str], cells: Sequence[Cell]) -> Table:
    shown = [key for key in titles if key in METRICS and any(hardware_of(cell, key).n for cell in cells)]
    measured = [cell for cell in cells if any(hardware_of(cell, key).n for key in shown)]
    return Table(
        name=name,
        caption=caption,
        columns=(Column(title="Cell"), *(Column(title=titles[key], numeric=True) for key in shown)),
        rows=tuple(
            (cell.label, *(wording.with_interval(hardware_of(cell, key)) for key in shown)) for cell in measured
        ),
        note="Given only where all trials of a cell ran on the same kind of device." if shown else "",
    )
