"""A quantity against depth, one line per shortcut, with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.figures import drawing
from reports.figures.drawing import Panel, mark_series
from reports.figures.palette import SHORTCUT_COLOURS, shortcut_colour, shortcut_marker
from reports.stats.cells import Cell, Series
from reports.stats.inference import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_POINTS = 12
"""Maximum seeds per cell that are drawn as single points."""


@dataclass(frozen=True, kw_only=True)
class DepthPanel:
    """The quantity of a panel, and its texts."""

    title: str
    label: str
    """Label of the axis, with its unit."""
    unit: str
    estimate: Callable[[Cell], Estimate]
    values: Callable[[Cell], Sequence[float]]
    top: float | None = None
    """Upper end of the axis; None to fit the data."""


def depth_panel(series: Sequence[Series], shown: DepthPanel) -> Panel:
    """Build one pair of axes."""
    described = "; ".join(
        f"{one.name}: " + ", ".join(f"depth {cell.depth} {_mean_text(cell, shown)}" for cell in one.cells)
        for one in series
    )

    def draw(axes: Axes) -> None:
        others = other_shortcuts(series)
        dodge = _dodge(series)
        for position, one in enumerate(series):
            _draw_series(axes, one, shown, others, (position - (len(series) - 1) / 2) * dodge, dodge)
        _ticks(axes, series)
        axes.set_ylabel(shown.label)
        top = shown.top or 1.08 * axes.get_ylim()[1]
        axes.set_ylim(-0.02 * top, top)
        drawing.legend(axes, "shortcut", loc="best")

    return Panel(title=shown.title, description=described or "No results yet.", draw=draw)


def other_shortcuts(series: Sequence[Series]) -> list[str]:
    """Return the shortcuts without a colour of their own."""
    return sorted({one.shortcut for one in series} - set(SHORTCUT_COLOURS))


def _draw_series(axes: Axes, one: Series, shown: DepthPanel, others: Sequence[str], shift: float, dodge: float) -> None:
    colour, marker = shortcut_colour(one.shortcut, others), shortcut_marker(one.shortcut, others)
    cells = [cell for cell in one.cells if shown.estimate(cell).mean is not None]
    if not cells:
        return
    estimates = [shown.estimate(cell) for cell in cells]
    for cell in cells:
        _draw_seeds(axes, one, (cell.depth or 0) + shift + 0.5 * dodge, shown.values(cell), colour)
    bars = axes.errorbar(
        [(cell.depth or 0) + shift for cell in cells],
        [estimate.mean or 0.0 for estimate in estimates],
        yerr=[[_reach(estimate.mean, end) for estimate, end in _ends(estimates, low)] for low in (True, False)],
        color=colour,
        marker=marker,
        label=one.name,
        markersize=5,
        linewidth=1.4,
        elinewidth=1.1,
        capsize=2.5,
        linestyle="--" if one.variant else "-",
    )
    line, caps, intervals = bars.lines
    mark_series(line, one.name, labels=[f"depth {cell.depth}" for cell in cells])
    mark_series([*caps, *intervals], one.name)


def _draw_seeds(axes: Axes, one: Series, place: float, values: Sequence[float], colour: str) -> None:
    if len(values) <= MOST_POINTS:
        style: dict[str, Any] = {"color": colour, "alpha": 0.5, "markersize": 4, "markeredgewidth": 0}
        mark_series(axes.plot([place] * len(values), values, ".", **style), one.name)


def _ends(estimates: Sequence[Estimate], low: bool) -> list[tuple[Estimate, float | None]]:
    return [(estimate, estimate.low if low else estimate.high) for estimate in estimates]


def _reach(mean: float | None, end: float | None) -> float:
    """Return the length of an error bar; zero if the interval is not known."""
    return 0.0 if mean is None or end is None else abs(end - mean)


def _dodge(series: Sequence[Series]) -> float:
    """Return the shift between series, about a hundredth of the depths' range, so that intervals stand side by side."""
    depths = [cell.depth or 0 for one in series for cell in one.cells]
    return 0.012 * (max(depths) - min(depths)) if depths else 0.0


def _ticks(axes: Axes, series: Sequence[Series]) -> None:
    depths = sorted({cell.depth for one in series for cell in one.cells if cell.depth is not None})
    axes.set_xlabel("depth, weighted layers")
    if 0 < len(depths) <= 8:
        axes.set_xticks(depths)
        axes.grid(visible=False, axis="x")


def _mean_text(cell: Cell, shown: DepthPanel) -> str:
    mean = shown.estimate(cell).mean
    return "not known" if mean is None else f"{mean:.2f} {shown.unit}"
