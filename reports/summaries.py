"""What the seeds of one cell say together."""

from __future__ import annotations

from harness.schema import Outcome
from reports.cells import IMAGES, Cell, Trial, as_number, as_text
from reports.statistics import Estimate, estimate, estimate_pct

SPEED = "speed/images_per_s"
MEMORY = "device/memory_peak_gib"
TIME = "time/total_s"


def error_of(cell: Cell, metric: str) -> Estimate:
    """Mean error over the cell's results with its interval."""
    images = cell.constant(IMAGES[metric])
    return estimate_pct(cell.values(metric), images=None if images is None else int(images))


def hardware_of(cell: Cell, key: str) -> Estimate:
    """Mean of a quantity that depends on the hardware, over finished trials; none where they ran on different kinds."""
    finished = [trial for trial in cell.trials if trial.outcome == Outcome.FINISHED]
    if len({device_of(trial) for trial in finished}) != 1:
        return estimate(())
    return estimate([value for trial in finished if (value := trial.number(key)) is not None], floor=0.0)


def device_of(trial: Trial) -> str | None:
    """`2 x NVIDIA H200`, None where the trial does not say."""
    name, count = as_text(trial.row.get("device.name")), as_number(trial.row.get("device.count"))
    if not name:
        return None
    return f"{int(count)} x {name}" if count else name
