"""Activity of devices and hosts during a few trials: utilization, memory and power over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.schema import ACTIVITIES
from reports import formatting
from reports.figures import drawing
from reports.figures.drawing import Data, Figure, Panel, mark_series
from reports.figures.palette import LINE_STYLES, MUTED, depth_colours
from reports.stats.cells import Cell, Trial
from reports.tables.report_tables import trial_name

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

COLUMNS = ("trial", "node", "source", "quantity", "elapsed_s", "value")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The lines of one trial."""

    name: str
    """Name of its series: its depth, or its label if it has no depth."""
    colour: str
    style: str
    series: pd.DataFrame
    """The trial's rows of `SweepResults.activity`."""


def draw(cells: Sequence[Cell], activity: pd.DataFrame) -> tuple[Figure, ...]:
    """Draw the figure; none if no activity was recorded.

    Args:
        cells: all cells of the sweep.
        activity: see `SweepResults.activity`.
    """
    owners = {trial.trial_id: (cell, trial) for cell in cells for trial in cell.trials}
    known = activity[activity["trial_id"].isin(list(owners))]
    if known.empty:
        return ()
    members = [owners[str(trial_id)] for trial_id in known["trial_id"].unique()]
    quantities = [quantity for quantity in ACTIVITIES if (known["quantity"] == quantity).any()]
    unit, seconds = _time_unit(float(known["elapsed_s"].max()))
    shown = _shown(cells, members, known)
    with drawing.style():
        return (
            drawing.figure(
                "activity-over-time",
                "What the devices did over time",
                _caption(members, quantities, known),
                [_panel(quantity, shown, unit, seconds) for quantity in quantities],
                _data(members, known),
            ),
        )


def _shown(cells: Sequence[Cell], members: Sequence[tuple[Cell, Trial]], activity: pd.DataFrame) -> list[Shown]:
    """Return the lines of each trial. A depth has the same colour as in the training curves."""
    colours = depth_colours([cell.depth for cell in cells if cell.depth is not None])
    return [
        Shown(
            name=cell.label if cell.depth is None else str(cell.depth),
            colour=MUTED if cell.depth is None else colours[cell.depth],
            style="-" if cell.depth is not None else LINE_STYLES[place % len(LINE_STYLES)],
            series=activity[activity["trial_id"] == trial.trial_id],
        )
        for place, (cell, trial) in enumerate(members)
    ]


def _caption(members: Sequence[tuple[Cell, Trial]], quantities: Sequence[str], activity: pd.DataFrame) -> str:
    names = formatting.listed([trial_name(cell, trial) for cell, trial in members])
    parts = [f"The longest trial of each depth that was watched, its last attempt: {names}."]
    if any(quantity.startswith("host") for quantity in quantities):
        parts.append("A host's figures are of all that runs on it, not of the trial alone.")
    if not any(not quantity.startswith("host") for quantity in quantities):
        parts.append("No GPU was watched.")
    if len(activity[["node", "source", "quantity"]].drop_duplicates()) > len(quantities):
        parts.append(
            "Of several devices or hosts of a trial the line is the mean, the band reaches from least to most."
        )
    return " ".join(parts)


def _time_unit(longest_s: float) -> tuple[str, float]:
    """Return a unit and its seconds, chosen so that the axis has small numbers."""
    if longest_s <= 600:
        return "s", 1.0
    return ("min", 60.0) if longest_s <= 3 * 3600 else ("h", 3600.0)


def _panel(quantity: str, shown: Sequence[Shown], unit: str, seconds: float) -> Panel:
    known = ACTIVITIES[quantity]
    spans = [(one, span) for one in shown if not (span := _span(one.series, quantity)).empty]

    def draw(axes: Axes) -> None:
        for one, span in spans:
            _draw_span(axes, one, span, seconds)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0, top=102 if known.unit == "%" else None)
        axes.set_xlabel(f"time watched, {unit}")
        axes.set_ylabel(known.unit)
        drawing.legend(axes, "depth" if all(one.name.isdecimal() for one in shown) else "network", loc="best")

    means = "; ".join(
        f"{one.name}: {formatting.decimal(float(span['mean'].mean()), 1)} {known.unit}" for one, span in spans
    )
    return Panel(title=known.label, description=f"Mean over time: {means}", draw=draw)


def _span(series: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return mean, minimum and maximum over devices at each moment: columns elapsed_s, mean, low, high."""
    mine = series[series["quantity"] == quantity].groupby("elapsed_s", sort=True)["value"]
    return mine.agg(mean="mean", low="min", high="max").reset_index()


def _draw_span(axes: Axes, one: Shown, span: pd.DataFrame, seconds: float) -> None:
    elapsed = span["elapsed_s"] / seconds
    marker = "o" if len(span) == 1 else ""
    line = axes.plot(
        elapsed,
        span["mean"],
        color=one.colour,
        linestyle=one.style,
        linewidth=1.4,
        marker=marker,
        markersize=4,
        label=one.name,
    )
    mark_series(line, one.name, values="mean")
    if (span["high"] > span["low"]).any():
        band = axes.fill_between(
            elapsed, span["low"], span["high"], color=one.colour, alpha=0.13, linewidth=0, zorder=1
        )
        mark_series(band, one.name)


def _data(members: Sequence[tuple[Cell, Trial]], activity: pd.DataFrame) -> Data:
    names = {trial.trial_id: trial_name(cell, trial) for cell, trial in members}
    rows = activity.assign(trial=activity["trial_id"].map(names))[list(COLUMNS)]
    return Data(columns=COLUMNS, rows=tuple(rows.itertuples(index=False, name=None)))
