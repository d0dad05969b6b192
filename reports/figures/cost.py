"""Figures of accuracy against cost, speed against depth, and scaling. A figure without data is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.schema import METRICS
from reports.figures import drawing
from reports.figures.depth_axis import DepthPanel, depth_panel, other_shortcuts
from reports.figures.drawing import Data, Figure, Panel, mark_series
from reports.figures.palette import LINE_STYLES, MUTED, shortcut_colour, shortcut_marker
from reports.stats.cells import TEST_ERROR, Cell, Series
from reports.stats.summaries import MEMORY, SPEED, error_of, hardware_of
from reports.tables.costs import Cost, Prices, costs
from reports.tables.scaling import Line, scaling_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BY_DEPTH = (SPEED, "speed/mfu_pct", MEMORY)
LOG_FROM = 8.0
"""Ratio of largest to smallest cost above which the axis is logarithmic."""


def draw(series: Sequence[Series], prices: Prices) -> tuple[Figure, ...]:
    """Draw the figures that have data."""
    found = (_error_by_cost(series, prices), _by_depth(series), _scaling(series))
    return tuple(figure for figure in found if figure is not None)


Point = tuple[Series, Cell, float, float]
"""A series, its cell, the cell's cost and its mean test error."""


def _points(series: Sequence[Series], cost: Cost) -> list[Point]:
    return [
        (one, cell, spent, error)
        for one in series
        for cell in one.cells
        if (spent := cost.of(cell)) is not None and (error := error_of(cell, TEST_ERROR).mean) is not None
    ]


def _error_by_cost(series: Sequence[Series], prices: Prices) -> Figure | None:
    found = [(cost, points) for cost in costs(prices) if len(points := _points(series, cost)) > 1]
    if not found:
        return None
    rows = [
        (cost.name, one.name, cell.depth, cell.label, spent, cost.unit, error, (spent, error) in _front(points))
        for cost, points in found
        for one, cell, spent, error in points
    ]
    return drawing.figure(
        "error-by-cost",
        "Error against cost",
        "Each point is a cell's mean test error. The grey line is the Pareto front of the means: no cell costs less "
        "and errs less. Neighbours on it may differ by chance alone; the intervals are in the table of cells.",
        [_cost_panel(series, cost, points) for cost, points in found],
        Data(
            columns=("cost", "series", "depth", "cell", "spent", "unit", "test_error_pct", "on_front"),
            rows=tuple(rows),
        ),
    )


def _front(points: Sequence[Point]) -> list[tuple[float, float]]:
    """Return cost and error of the points that no other point beats in both, cheapest first."""
    front: list[tuple[float, float]] = []
    for spent, error in sorted((spent, error) for *_, spent, error in points):
        if not front or error < front[-1][1]:
            front.append((spent, error))
    return front


def _cost_panel(series: Sequence[Series], cost: Cost, points: Sequence[Point]) -> Panel:
    def draw(axes: Axes) -> None:
        front = _front(points)
        axes.step(*zip(*front, strict=True), where="post", color=MUTED, linewidth=1.2, zorder=1)
        others = other_shortcuts(series)
        for one in series:
            mine = [(cell, spent, error) for owner, cell, spent, error in points if owner is one]
            if mine:
                _draw_points(axes, one, mine, others)
        spent = [spent for *_, spent, _ in points]
        if min(spent) > 0 and max(spent) / min(spent) > LOG_FROM:
            _log_axis(axes)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(cost.label)
        axes.set_ylabel("test error, %")
        drawing.legend(axes, "shortcut", loc="best")

    described = "; ".join(f"{cell.label}: {spent:.4g} {cost.unit}, {error:.2f} %" for _, cell, spent, error in points)
    return Panel(title=cost.title, description=described, draw=draw)


def _log_axis(axes: Axes) -> None:
    """Put ticks at 1, 2 and 5 of each power of ten, in plain text: markup in labels is not parsed (see `STYLE`)."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _draw_points(axes: Axes, one: Series, mine: Sequence[tuple[Cell, float, float]], others: Sequence[str]) -> None:
    line = axes.plot(
        [spent for _, spent, _ in mine],
        [error for *_, error in mine],
        linestyle="none",
        marker=shortcut_marker(one.shortcut, others),
        color=shortcut_colour(one.shortcut, others),
        markersize=6,
        label=one.name,
    )
    mark_series(line, one.name, labels=[f"depth {cell.depth}" for cell, *_ in mine])


def _by_depth(series: Sequence[Series]) -> Figure | None:
    cells = [cell for one in series for cell in one.cells]
    shown = [metric for metric in BY_DEPTH if any(hardware_of(cell, metric).n for cell in cells)]
    if not shown:
        return None
    rows = [
        (one.name, cell.depth, metric, estimate.n, estimate.mean, estimate.low, estimate.high)
        for metric in shown
        for one in series
        for cell in one.cells
        for estimate in [hardware_of(cell, metric)]
    ]
    return drawing.figure(
        "speed-by-depth",
        "Speed and memory against depth",
        "Mean over finished trials with its 95 % interval, of cells whose trials ran on one kind of device.",
        [depth_panel(series, _hardware(metric)) for metric in shown],
        Data(columns=("series", "depth", "metric", "n", "mean", "low", "high"), rows=tuple(rows)),
    )


def _hardware(metric: str) -> DepthPanel:
    known = METRICS[metric]
    return DepthPanel(
        title=known.label,
        label=known.unit,
        unit=known.unit,
        estimate=lambda cell: hardware_of(cell, metric),
        values=lambda _: (),
    )


def _scaling(series: Sequence[Series]) -> Figure | None:
    lines = scaling_lines(cell for one in series for cell in one.cells)
    if not lines:
        return None
    rows = [
        (line.kind, line.label, point.workers, point.n, point.images_per_s.value, *point.efficiency_pct)
        for line in lines
        for point in line.points
    ]
    columns = ("kind", "cell", "workers", "n", "images_per_s", "efficiency_pct", "efficiency_low", "efficiency_high")
    kinds = [kind for kind in ("strong", "weak") if any(line.kind == kind for line in lines)]
    return drawing.figure(
        "scaling",
        "Scaling",
        "Speed a worker over that with the fewest workers timed, with its 95 % interval. Strong: the batch of all "
        "workers stays; weak: that of each.",
        [_scaling_panel(kind, [line for line in lines if line.kind == kind]) for kind in kinds],
        Data(columns=columns, rows=tuple(rows)),
    )


def _scaling_panel(kind: str, lines: Sequence[Line]) -> Panel:
    def draw(axes: Axes) -> None:
        axes.axhline(100, color=MUTED, linewidth=1, zorder=1)
        for place, line in enumerate(lines):
            _draw_line(axes, line, LINE_STYLES[place % len(LINE_STYLES)])
        axes.set_xscale("log", base=2)
        workers = sorted({point.workers for line in lines for point in line.points})
        axes.set_xticks(workers, labels=[str(count) for count in workers])
        axes.set_ylim(bottom=0)
        axes.set_xlabel("workers")
        axes.set_ylabel("efficiency, %")
        drawing.legend(axes, "cell", loc="lower left")

    described = "; ".join(
        f"{line.label}: "
        + ", ".join(f"{point.workers} workers {point.efficiency_pct.value:.1f} %" for point in line.points)
        for line in lines
    )
    return Panel(title=f"{kind.capitalize()} scaling", description=described, draw=draw)


def _draw_line(axes: Axes, line: Line, style: str) -> None:
    rates = [point.efficiency_pct for point in line.points]
    ends = [[_half(rate.value, end) for rate, end in zip(rates, side, strict=True)] for side in _sides(rates)]
    bars = axes.errorbar(
        [point.workers for point in line.points],
        [rate.value for rate in rates],
        yerr=ends,
        color="#7a7a7a",
        linestyle=style,
        marker="o",
        markersize=4,
        capsize=2.5,
        label=line.label,
    )
    drawn, caps, intervals = bars.lines
    mark_series(drawn, line.label, values="efficiency")
    mark_series([*caps, *intervals], line.label)


def _sides(rates: Sequence[tuple[float, float | None, float | None]]) -> tuple[list[float | None], list[float | None]]:
    return [low for _, low, _ in rates], [high for *_, high in rates]


def _half(value: float, end: float | None) -> float:
    return 0.0 if end is None or not math.isfinite(end) else abs(end - value)
