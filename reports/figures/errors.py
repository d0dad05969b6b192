"""Figures of errors against depth and epochs, as in He et al. 2015, Figures 4 and 6, and the list of all figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from harness.schema import METRICS, Outcome
from reports.figures import cost as cost_figures
from reports.figures import drawing
from reports.figures.depth_axis import DepthPanel, depth_panel
from reports.figures.drawing import Data, Figure, Panel, mark_series
from reports.figures.palette import depth_colours
from reports.stats.cells import TEST_ERROR, TRAIN_ERROR, Cell, Series, trained
from reports.stats.summaries import error_of
from reports.tables.costs import NO_PRICES, Prices

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

CURVES = ("train/error_pct", "test/error_pct")
"""The curves, drawn thin and bold, as in He et al. 2015, Figure 6."""

MOST_DEPTHS = 8
"""Maximum curves in a panel that a reader can distinguish."""


def draw_figures(series: Sequence[Series], curves: pd.DataFrame, prices: Prices = NO_PRICES) -> tuple[Figure, ...]:
    """Draw figures of errors and costs. The first two show a note if they have no data; the others are left out.

    If all cells were only timed, the first two are left out too, because they will never have data.

    Args:
        series: the series to draw.
        curves: see `SweepResults.curves`.
        prices: prices of devices.
    """
    with drawing.style():
        costs = cost_figures.draw(series, prices)
        learning = [one for one in series if trained(one.cells)]
        if series and not learning:
            return costs
        return (_error_by_depth(learning), _training_curves(learning, curves), *costs)


def _error_by_depth(series: Sequence[Series]) -> Figure:
    metrics = (TRAIN_ERROR, TEST_ERROR)
    estimates = [error_of(cell, metric) for metric in metrics for one in series for cell in one.cells]
    highest = max((estimate.high or estimate.mean or 0.0 for estimate in estimates), default=0.0)
    panels = [depth_panel(series, _errors(metric, 1.06 * max(highest, 1.0))) for metric in metrics]
    return drawing.figure(
        "error-by-depth",
        "Error against depth",
        "Mean over seeds with its 95 % interval; up to 12 seeds are faint points beside it. One seed has no interval.",
        panels,
        _error_data(series, metrics),
    )


def _errors(metric: str, top: float) -> DepthPanel:
    return DepthPanel(
        title=METRICS[metric].label,
        label="error, %",
        unit="%",
        estimate=lambda cell: error_of(cell, metric),
        values=lambda cell: cell.values(metric),
        top=top,
    )


def _error_data(series: Sequence[Series], metrics: Sequence[str]) -> Data:
    found = [
        (one.name, cell.depth, metric, error_of(cell, metric))
        for metric in metrics
        for one in series
        for cell in one.cells
    ]
    columns = ("series", "depth", "metric", "n", "mean", "low", "high")
    return Data(columns=columns, rows=tuple((*key, e.n, e.mean, e.low, e.high) for *key, e in found))


def _training_curves(series: Sequence[Series], curves: pd.DataFrame) -> Figure:
    spans = _spans(series, curves)
    top = max((float(span["high"].max()) for span in spans.values()), default=100.0)
    depths = [cell.depth for one in series for cell in one.cells if cell.depth is not None]
    colours, limit = depth_colours(depths), min(100.0, 1.04 * top)
    panels = [_curves_panel(_thinned(one), curves, spans, colours, limit) for one in series]
    return drawing.figure(
        "training-curves",
        "Training curves",
        "Thin, dashed: training error, while training. Bold: test error. Lines are means over seeds, bands reach from "
        "the lowest to the highest seed, a cross marks a seed that diverged. A mean ends where the first seed ends."
        + (f" Of more depths, {MOST_DEPTHS} are shown." if any(len(one.cells) > MOST_DEPTHS for one in series) else ""),
        panels
        or [
            Panel(
                title="No curves yet", description="No network with a depth has been planned.", draw=drawing.draw_note
            )
        ],
        _curves_data(series, spans),
    )


def _curves_data(series: Sequence[Series], spans: Mapping[tuple[str, str], pd.DataFrame]) -> Data:
    rows = [
        (one.name, cell.depth, key, *point)
        for one in series
        for cell in one.cells
        for key in CURVES
        if (span := spans.get((cell.cell_id, key))) is not None
        for point in span[["epoch", "seeds", "mean", "low", "high"]].itertuples(index=False)
    ]
    return Data(columns=("series", "depth", "metric", "epoch", "n", "mean", "low", "high"), rows=tuple(rows))


def _thinned(one: Series) -> Series:
    """Return the series with no more depths than a panel can show, including the first and the last."""
    last = len(one.cells) - 1
    if last < MOST_DEPTHS:
        return one
    places = [round(step * last / (MOST_DEPTHS - 1)) for step in range(MOST_DEPTHS)]
    return replace(one, cells=tuple(one.cells[place] for place in places))


def _spans(series: Sequence[Series], curves: pd.DataFrame) -> Mapping[tuple[str, str], pd.DataFrame]:
    """Return, for each cell and curve, mean, low and high over seeds at each epoch, for trials that have a result."""
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
        for cell in one.cells:
            _draw_cell(axes, cell, spans, colours[cell.depth or 0])
        for cell, epoch, error in crosses:
            style: dict[str, Any] = {"color": colours[cell.depth or 0], "markersize": 6, "markeredgewidth": 1.6}
            mark_series(axes.plot([epoch], [error], "x", **style), _depth_name(cell))
        axes.set_ylim(-0.02 * top, top)
        axes.set_xlim(left=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel("error, %")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        drawing.legend(axes, "depth", loc="upper right", ncols=1 + (len(one.cells) > 6))

    crosses = _divergences(one, curves)
    depths = ", ".join(str(cell.depth) for cell in one.cells)
    return Panel(
        title=f"Shortcut {one.name}" if one.shortcut != "plain" else f"Plain{one.name.removeprefix('plain')}",
        description=f"Training and test error by epoch, depths {depths}; the table of cells has the final values.",
        draw=draw,
    )


def _divergences(one: Series, curves: pd.DataFrame) -> list[tuple[Cell, int, float]]:
    """Return the end of the bold curve of each diverged seed."""
    diverged = {
        trial.trial_id: cell for cell in one.cells for trial in cell.trials if trial.outcome == Outcome.DIVERGED
    }
    ends = curves[(curves["key"] == CURVES[1]) & curves["trial_id"].isin(diverged)].dropna(subset=["value"])
    ends = ends.drop_duplicates("trial_id", keep="last")
    rows = zip(ends["trial_id"], ends["epoch"], ends["value"], strict=True)
    return [(diverged[trial_id], int(epoch), float(value)) for trial_id, epoch, value in rows]


def _depth_name(cell: Cell) -> str:
    return str(cell.depth)


def _draw_cell(axes: Axes, cell: Cell, spans: Mapping[tuple[str, str], pd.DataFrame], colour: str) -> None:
    train, test = (spans.get((cell.cell_id, key)) for key in CURVES)
    thin = {"color": colour, "linewidth": 0.9, "linestyle": (0, (4, 2))}
    named = {"label": _depth_name(cell)}
    if train is not None:
        _draw_span(axes, train, cell, "training", **thin, **({} if test is not None else named))
    if test is not None:
        _draw_span(axes, test, cell, "test", color=colour, linewidth=2.1, **named)


def _draw_span(axes: Axes, span: pd.DataFrame, cell: Cell, values: str, **style: Any) -> None:
    whole = span[span["seeds"] == span["seeds"].max()]
    mark_series(axes.plot(whole["epoch"], whole["mean"], **style), _depth_name(cell), values=values)
    if (span["high"] > span["low"]).any():
        band = axes.fill_between(
            span["epoch"], span["low"], span["high"], color=style["color"], alpha=0.13, linewidth=0, zorder=1
        )
        mark_series(band, _depth_name(cell))
