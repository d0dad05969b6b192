"""Results of timing trials about a step: its parts, its waiting times, and their uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from reports import formatting
from reports.stats.cells import Cell
from reports.stats.inference import Estimate
from reports.stats.summaries import COMMUNICATION, STALL, hardware_of, measured
from reports.tables.report_tables import Column, Table
from reports.tables.scaling import Line, Rate

SMALLEST_STALL_PCT = 1.0
"""Smallest data stall in percent: a step waits for data if the whole interval is above this, because fetching always
takes some time."""

PARTS = {
    "forward": "forward pass",
    "backward": "backward pass",
    "optimizer": "optimizer",
    "compute": "forward, backward and optimizer",
    "slowest": "more on the slowest worker",
    "input": "waiting for data",
    "communication": "exposed communication",
}
"""Part -> its name in a figure, in the order of a bar. `compute` replaces forward, backward and optimizer if they were
not measured separately."""

PHASES = ("forward", "backward", "optimizer")
MS = {"Forward, ms": "parts/forward_ms", "Backward, ms": "parts/backward_ms", "Optimizer, ms": "parts/optimizer_ms",
      "Whole step, ms": "parts/whole_ms"}  # fmt: skip
SHARES = {
    "Data stall, %": STALL,
    "Exposed communication, %": COMMUNICATION,
    "Straggler spread, %": "parts/straggler_pct",
}


def taken_apart(cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells with a step taken apart, in order: the first is bar 1 of the figure."""
    return [cell for cell in cells if hardware_of(cell, "parts/whole_ms").n]


def parts_of(cell: Cell) -> Mapping[str, float]:
    """Return part of `PARTS` -> milliseconds, in sum the slowest worker's step. Noise can make a part negative."""
    means = {name: hardware_of(cell, f"parts/{name}_ms").mean for name in (*PHASES, "compute", "data", "whole")}
    compute, data, whole = means["compute"], means["data"], means["whole"]
    if compute is None or data is None or whole is None:
        return {}
    phases = {name: value for name in PHASES if (value := means[name]) is not None}
    alone = hardware_of(cell, "parts/straggler_pct").n == 0
    own = {**phases, "slowest": compute - sum(phases.values())} if len(phases) == len(PHASES) else {"compute": compute}
    between = {"input": data - compute, "communication": whole - data}
    return {name: value for name, value in {**own, **between}.items() if not (alone and name in ALONE_HAS_NONE)}


ALONE_HAS_NONE = ("slowest", "communication")


def stalls(found: Estimate) -> bool | None:
    """Whether the step waits for data; None if the interval is not known."""
    return None if found.low is None else found.low > SMALLEST_STALL_PCT


def steps_table(cells: Sequence[Cell]) -> Table:
    """Return the parts of a step for each cell; no rows if no step was taken apart."""
    members = taken_apart(cells)
    shown = {title: key for title, key in {**MS, **SHARES}.items() if any(measured(cell, key).n for cell in members)}
    columns = [Column(title="Cell"), Column(title="Bar", numeric=True)]
    columns += [Column(title=title, numeric=True) for title in shown]
    return Table(
        name="steps",
        caption="Where a step's time goes: mean and 95 % interval",
        columns=(*columns, Column(title="Waits for data")),
        rows=tuple(_row(cell, bar, shown.values()) for bar, cell in enumerate(members, 1)),
        note="Intervals are Student's over trials; of one trial, over its rounds. A step is said to wait for data "
        f"where the whole interval of the stall is above {formatting.percent(SMALLEST_STALL_PCT)}. Shares are of the "
        "whole step; the straggler's spread is what the fastest worker would wait for the slowest. Only cells whose "
        "trials ran on one kind of device.",
    )


def _row(cell: Cell, bar: int, keys: Iterable[str]) -> tuple[str, ...]:
    waits = {None: formatting.DASH, True: "yes", False: "not shown"}[stalls(measured(cell, STALL))]
    return (cell.label, str(bar), *(formatting.with_interval(measured(cell, key)) for key in keys), waits)


def scaling_table(lines: Sequence[Line]) -> Table:
    """Return every point of every line; no rows without lines."""
    titles = ("Cell", "Scaling", "Workers", "Batch of all workers", "n", "Images/s", "Efficiency, %")
    return Table(
        name="scaling-points",
        caption="Scaling efficiency, with 95 % intervals",
        columns=tuple(Column(title=title, numeric=place > 1) for place, title in enumerate(titles)),
        rows=tuple(
            (
                line.label,
                line.kind,
                str(point.workers),
                str(point.batch_size),
                str(point.n),
                _rate(point.images_per_s),
                f"{formatting.decimal(point.efficiency_pct.value, 1)} "
                f"{formatting.interval(point.efficiency_pct.low, point.efficiency_pct.high, 1)}".rstrip(),
            )
            for line in lines
            for point in line.points
        ),
        note="Speed a worker, over that with the fewest workers of the line. A line bears the name of its first cell.",
    )


def _rate(rate: Rate) -> str:
    return formatting.rate_with_interval(rate.value, rate.low, rate.high)
