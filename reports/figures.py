"""The figures of a report, as deterministic SVG. The only room that imports matplotlib.

Each figure comes twice: whole, as a file of its own on white paper, and panel by panel without a background, so that a
page can lay the panels out on a phone and recolour them in the dark.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from harness.schema import METRICS, Outcome
from reports import svg
from reports.cells import TEST_ERROR, TRAIN_ERROR, Cell, Series
from reports.palette import (
    GRID,
    INK,
    MUTED,
    PAPER,
    SHORTCUT_COLOURS,
    depth_colours,
    shortcut_colour,
    shortcut_marker,
)
from reports.summaries import error_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CURVES = ("train/error_pct", "val/error_pct")
"""Drawn thin and bold, as in He et al. 2015, Figure 6."""

PANEL_WIDTH_IN, PANEL_HEIGHT_IN = 4.3, 3.2
PLACE = (0.144, 0.156, 0.828, 0.731)
"""Of the axes in their panel: left, bottom, width and height, in shares."""
COLUMNS = 3
"""Panels side by side in a figure's file."""
MOST_DEPTHS = 8
"""Curves in a panel that eyes can tell apart."""
MOST_POINTS = 12
"""Seeds of a cell that are drawn one by one."""

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: text is laid out alike everywhere
    "font.size": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,  # a label is a stranger's text
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: its file and its panels."""

    name: str
    """Of its file, without the ending."""
    title: str
    caption: str
    file: str
    """A whole SVG document."""
    panels: tuple[str, ...]
    """`<svg>` elements for a page."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes, before it is drawn."""

    title: str
    description: str
    draw: Callable[[Axes], None]


def draw_figures(series: Sequence[Series], curves: pd.DataFrame) -> tuple[Figure, ...]:
    """All figures of a report. A figure without data says so in its place: it never shows an older one's."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()  # a user's matplotlibrc changes nothing
        mpl.rcParams.update(STYLE)
        return (_error_by_depth(series), _training_curves(series, curves))


def _error_by_depth(series: Sequence[Series]) -> Figure:
    metrics = (TRAIN_ERROR, TEST_ERROR)
    estimates = [error_of(cell, metric) for metric in metrics for one in series for cell in one.cells]
    highest = max((estimate.high or estimate.mean or 0.0 for estimate in estimates), default=0.0)
    panels = [_depth_panel(series, metric, 1.06 * max(highest, 1.0)) for metric in metrics]
    return _figure(
        "error-by-depth",
        "Error against depth",
        "Mean over seeds with its 95 % interval; up to 12 seeds are faint points beside it. One seed has no interval.",
        panels,
    )


def _training_curves(series: Sequence[Series], curves: pd.DataFrame) -> Figure:
    spans = _spans(series, curves)
    top = max((float(span["high"].max()) for span in spans.values()), default=100.0)
    depths = [cell.depth for one in series for cell in one.cells if cell.depth is not None]
    colours, limit = depth_colours(depths), min(100.0, 1.04 * top)
    panels = [_curves_panel(_told_apart(one), curves, spans, colours, limit) for one in series]
    return _figure(
        "training-curves",
        "Training curves",
        "Thin, dashed: training error, while training. Bold: test error. Lines are means over seeds, bands reach from "
        "the lowest to the highest seed, a cross marks a seed that diverged. A mean ends where the first seed ends."
        + (f" Of more depths, {MOST_DEPTHS} are shown." if any(len(one.cells) > MOST_DEPTHS for one in series) else ""),
        panels or [Panel(title="No curves yet", description="No network with a depth has been planned.", draw=_empty)],
    )


def _told_apart(one: Series) -> Series:
    """The series with no more depths than a panel can show, first and last among them."""
    last = len(one.cells) - 1
    if last < MOST_DEPTHS:
        return one
    places = [round(step * last / (MOST_DEPTHS - 1)) for step in range(MOST_DEPTHS)]
    return replace(one, cells=tuple(one.cells[place] for place in places))


def _depth_panel(series: Sequence[Series], metric: str, top: float) -> Panel:
    label = METRICS[metric].label
    described = "; ".join(
        f"{one.name}: " + ", ".join(f"depth {cell.depth} {_mean_text(cell, metric)}" for cell in one.cells)
        for one in series
    )

    def draw(axes: Axes) -> None:
        others = sorted({one.shortcut for one in series} - set(SHORTCUT_COLOURS))
        for position, one in enumerate(series):
            _draw_series(axes, one, metric, others, position - (len(series) - 1) / 2, _dodge(series))
        _depth_axis(axes, series)
        axes.set_ylabel("error, %")
        axes.set_ylim(-0.02 * top, top)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="best", title="shortcut", alignment="left")
        else:
            _empty(axes)

    return Panel(title=label, description=described or "No results yet.", draw=draw)


def _draw_series(axes: Axes, one: Series, metric: str, others: Sequence[str], place: float, dodge: float) -> None:
    colour, marker = shortcut_colour(one.shortcut, others), shortcut_marker(one.shortcut, others)
    shift = place * dodge
    shown = [cell for cell in one.cells if cell.values(metric)]
    if not shown:
        return
    estimates = [error_of(cell, metric) for cell in shown]
    means = [estimate.mean or 0.0 for estimate in estimates]
    below = [_reach(estimate.mean, estimate.low) for estimate in estimates]
    above = [_reach(estimate.mean, estimate.high) for estimate in estimates]
    beside = shift + 0.5 * dodge
    for cell in shown:
        values = cell.values(metric)
        if len(values) > MOST_POINTS:
            continue
        axes.plot(
            [(cell.depth or 0) + beside] * len(values),
            values,
            ".",
            color=colour,
            alpha=0.5,
            markersize=4,
            markeredgewidth=0,
        )
    axes.errorbar(
        [(cell.depth or 0) + shift for cell in shown],
        means,
        yerr=[below, above],
        color=colour,
        marker=marker,
        label=one.name,
        markersize=5,
        linewidth=1.4,
        elinewidth=1.1,
        capsize=2.5,
        linestyle=_linestyle(one),
    )


def _reach(mean: float | None, end: float | None) -> float:
    """Length of an error bar; none where the interval is not known."""
    return 0.0 if mean is None or end is None else abs(end - mean)


def _linestyle(one: Series) -> str:
    return "--" if one.variant else "-"


def _dodge(series: Sequence[Series]) -> float:
    """A hundredth of the depths' range between series, so that intervals stand side by side."""
    depths = [cell.depth or 0 for one in series for cell in one.cells]
    return 0.012 * (max(depths) - min(depths)) if depths else 0.0


def _depth_axis(axes: Axes, series: Sequence[Series]) -> None:
    depths = sorted({cell.depth for one in series for cell in one.cells if cell.depth is not None})
    axes.set_xlabel("depth, weighted layers")
    if 0 < len(depths) <= 8:
        axes.set_xticks(depths)
        axes.grid(visible=False, axis="x")


def _mean_text(cell: Cell, metric: str) -> str:
    mean = error_of(cell, metric).mean
    return "not known" if mean is None else f"{mean:.2f} %"


def _spans(series: Sequence[Series], curves: pd.DataFrame) -> Mapping[tuple[str, str], pd.DataFrame]:
    """For each cell and curve: mean, low and high over seeds at each epoch, of trials that have a result."""
    members = {trial.trial_id: cell.cell_id for one in series for cell in one.cells for trial in cell.results}
    wanted = curves["key"].isin(CURVES) & curves["trial_id"].isin(members) & (curves["value"].abs() < math.inf)
    shown = curves[wanted]
    if shown.empty:
        return {}
    shown = shown.assign(cell_id=shown["trial_id"].map(members))
    by_epoch = shown.groupby(["cell_id", "key", "epoch"], sort=True)["value"]
    spans = by_epoch.agg(mean="mean", low="min", high="max", seeds="count").reset_index()
    return {(str(cell_id), str(key)): span for (cell_id, key), span in spans.groupby(["cell_id", "key"], sort=True)}


def _curves_panel(
    one: Series,
    curves: pd.DataFrame,
    spans: Mapping[tuple[str, str], pd.DataFrame],
    colours: Mapping[int, str],
    top: float,
) -> Panel:
    from matplotlib.ticker import MaxNLocator

    def draw(axes: Axes) -> None:
        drawn = [_draw_cell(axes, cell, spans, colours[cell.depth or 0]) for cell in one.cells]
        for cell, epoch, error in crosses:
            axes.plot([epoch], [error], "x", color=colours[cell.depth or 0], markersize=6, markeredgewidth=1.6)
        axes.set_ylim(-0.02 * top, top)
        axes.set_xlim(left=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel("error, %")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if any(drawn):
            axes.legend(loc="upper right", title="depth", ncols=1 + (len(one.cells) > 6), alignment="left")
        else:
            _empty(axes)

    crosses = _divergences(one, curves)
    depths = ", ".join(str(cell.depth) for cell in one.cells)
    return Panel(
        title=f"Shortcut {one.name}" if one.shortcut != "plain" else f"Plain{one.name.removeprefix('plain')}",
        description=f"Training and test error by epoch, depths {depths}; the table of cells has the final values.",
        draw=draw,
    )


def _divergences(one: Series, curves: pd.DataFrame) -> list[tuple[Cell, int, float]]:
    """Where the bold curve of each diverged seed ends."""
    diverged = {
        trial.trial_id: cell for cell in one.cells for trial in cell.trials if trial.outcome == Outcome.DIVERGED
    }
    ends = curves[(curves["key"] == CURVES[1]) & curves["trial_id"].isin(diverged)].dropna(subset=["value"])
    ends = ends.drop_duplicates("trial_id", keep="last")
    rows = zip(ends["trial_id"], ends["epoch"], ends["value"], strict=True)
    return [(diverged[trial_id], int(epoch), float(value)) for trial_id, epoch, value in rows]


def _draw_cell(axes: Axes, cell: Cell, spans: Mapping[tuple[str, str], pd.DataFrame], colour: str) -> bool:
    train, test = (spans.get((cell.cell_id, key)) for key in CURVES)
    if train is not None:
        _draw_span(axes, train, color=colour, linewidth=0.9, linestyle=(0, (4, 2)))
    if test is not None:
        _draw_span(axes, test, color=colour, linewidth=2.1, label=str(cell.depth))
    return test is not None or train is not None


def _draw_span(axes: Axes, span: pd.DataFrame, **style: Any) -> None:
    whole = span[span["seeds"] == span["seeds"].max()]
    axes.plot(whole["epoch"], whole["mean"], **style)
    if (span["high"] > span["low"]).any():
        axes.fill_between(
            span["epoch"], span["low"], span["high"], color=style["color"], alpha=0.13, linewidth=0, zorder=1
        )


def _empty(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no data yet", transform=axes.transAxes, ha="center", va="center", color=MUTED)


def _figure(name: str, title: str, caption: str, panels: Sequence[Panel]) -> Figure:
    drawn = tuple(_drawn(panel, f"{name}-{place}", f"{title}: {panel.title}") for place, panel in enumerate(panels, 1))
    described = f"{caption} " + " ".join(f"{panel.title}: {panel.description}." for panel in panels)
    file = svg.side_by_side(drawn, columns=COLUMNS, paper=PAPER, name=name, title=title, description=described)
    return Figure(name=name, title=title, caption=caption, file=file, panels=drawn)


def _drawn(panel: Panel, name: str, title: str) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    mpl.rcParams["svg.hashsalt"] = name
    canvas = Canvas(figsize=(PANEL_WIDTH_IN, PANEL_HEIGHT_IN))
    axes = canvas.add_axes(PLACE)
    axes.set_title(panel.title)
    panel.draw(axes)
    written = io.StringIO()
    canvas.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return svg.tidy(written.getvalue(), name=name, title=title, description=panel.description)
