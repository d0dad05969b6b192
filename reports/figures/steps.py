"""The time of a step, as stacked bars: one bar for each cell with a step taken apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from reports import formatting
from reports.figures import drawing
from reports.figures.drawing import Data, Figure, Panel, mark_series
from reports.figures.palette import PAPER, PART_COLOURS
from reports.stats.cells import Cell
from reports.tables.step_parts import PARTS, parts_of, taken_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 12
"""Maximum bars in a panel."""

Bar = tuple[int, Cell, Mapping[str, float]]
"""Number of the bar, as in the table; its cell; milliseconds of each part."""


def draw(cells: Sequence[Cell]) -> tuple[Figure, ...]:
    """Draw the figure; none if no step was taken apart."""
    bars = [(number, cell, parts_of(cell)) for number, cell in enumerate(taken_apart(cells), 1)]
    bars = [bar for bar in bars if bar[2]]
    if not bars:
        return ()
    top = 1.05 * max(_height(parts) for *_, parts in bars)
    rows = [(number, cell.label, name, parts[name]) for number, cell, parts in bars for name in PARTS if name in parts]
    with drawing.style():
        return (
            drawing.figure(
                "step-parts",
                "Where a step's time goes",
                "One bar a cell, numbered as in the table: the step of the slowest worker, mean over trials. Taken "
                "apart by taking the same step without real batches and without the other workers, in turn. A part "
                "that came out below zero is not drawn.",
                [_panel(bars[first : first + MOST_BARS], top) for first in range(0, len(bars), MOST_BARS)],
                Data(columns=("bar", "cell", "part", "mean_ms"), rows=tuple(rows)),
            ),
        )


def _height(parts: Mapping[str, float]) -> float:
    return sum(max(0.0, value) for value in parts.values())


def _panel(bars: Sequence[Bar], top: float) -> Panel:
    def draw(axes: Axes) -> None:
        heights = [0.0] * len(bars)
        for name, label in PARTS.items():
            if any(name in parts for *_, parts in bars):
                _stack(axes, bars, heights, name, label)
        axes.set_xticks(range(len(bars)), labels=[str(number) for number, *_ in bars])
        axes.grid(visible=False, axis="x")
        axes.set_xlim(-0.6, max(len(bars), 4) - 0.4)  # so that two bars do not fill the panel
        axes.set_ylim(0, 1.45 * top)  # space for the legend
        axes.set_xlabel("bar, as in the table")
        axes.set_ylabel("ms")
        drawing.legend(axes, "part of the step", loc="upper left", ncols=2, fontsize=7.5)

    described = "; ".join(
        f"{cell.label}: " + ", ".join(f"{PARTS[name]} {formatting.decimal(value)} ms" for name, value in parts.items())
        for _, cell, parts in bars
    )
    first, last = bars[0][0], bars[-1][0]
    return Panel(
        title="A step" if first == last else f"A step, bars {first} to {last}", description=described, draw=draw
    )


def _stack(axes: Axes, bars: Sequence[Bar], heights: list[float], name: str, label: str) -> None:
    values = [max(0.0, parts.get(name, 0.0)) for *_, parts in bars]
    drawn = axes.bar(
        range(len(bars)),
        values,
        bottom=heights,
        width=0.7,
        color=PART_COLOURS[name],
        edgecolor=PAPER,
        linewidth=0.6,
        label=label,
    )
    mark_series(drawn.patches, label)
    heights[:] = [height + value for height, value in zip(heights, values, strict=True)]
