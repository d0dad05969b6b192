"""Drawing of figures: axes in matplotlib, adapted to a page. A figure comes in three forms: a complete file on white
paper; separate panels without a background, so that a page can arrange them on a phone and recolour them in dark mode;
and a table of its values.

`mark_series` marks the parts of a series, so that a page can hide it and read its values.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports.figures import svg
from reports.figures.palette import GRID, INK, MUTED, PAPER

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

PANEL_WIDTH_IN, PANEL_HEIGHT_IN = 4.3, 3.2
AXES_BOX = (0.144, 0.156, 0.828, 0.731)
"""Position of the axes in their panel: left, bottom, width and height, as shares."""
COLUMNS = 3
"""Panels per row in a figure's file."""

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
    "text.parse_math": False,  # a label may hold any text
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "path.simplify": False,  # a page reads values from the vertices
}


@dataclass(frozen=True, kw_only=True)
class Data:
    """The values of a figure."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: its file, its panels and its numbers."""

    name: str
    """Name of its files, without the ending."""
    title: str
    caption: str
    file: str
    """A complete SVG document."""
    panels: tuple[str, ...]
    """`<svg>` elements for a page."""
    data: Data


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes, before it is drawn."""

    title: str
    description: str
    draw: Callable[[Axes], None]


@contextmanager
def style() -> Iterator[None]:
    """Set matplotlib's style for the figures, independent of a user's matplotlibrc."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def mark_series(artists: Artist | Iterable[Any], series: str, *, values: str = "", labels: Sequence[str] = ()) -> None:
    """Mark artists as parts of a series.

    Args:
        artists: one artist, or several.
        series: the name of the series in the legend.
        values: kind of the vertices' values, such as `test`; a page then shows these values.
        labels: one label per vertex, if each vertex stands for a separate item.
    """
    role = f"@{'|'.join(labels)}" if labels else values
    for artist in artists if isinstance(artists, Iterable) else [artists]:
        artist.set_gid(f"{svg.SERIES}{series}:{role}")


def legend(axes: Axes, title: str, **settings: Any) -> None:
    """Draw a legend whose entries belong to their series, or a note if there is nothing to show."""
    if not axes.get_legend_handles_labels()[0]:
        draw_note(axes)
        return
    drawn = axes.legend(title=title, alignment="left", **settings)
    for handle, text in zip(drawn.legend_handles, drawn.get_texts(), strict=True):
        if handle is not None:
            mark_series([handle, text], text.get_text())


def draw_note(axes: Axes) -> None:
    """Write a note that there is nothing to show."""
    axes.text(0.5, 0.5, "no data yet", transform=axes.transAxes, ha="center", va="center", color=MUTED)


def figure(name: str, title: str, caption: str, panels: Sequence[Panel], data: Data) -> Figure:
    """Draw the panels."""
    drawn = tuple(_drawn(panel, f"{name}-{place}", f"{title}: {panel.title}") for place, panel in enumerate(panels, 1))
    described = f"{caption} " + " ".join(f"{panel.title}: {panel.description}." for panel in panels)
    file = svg.side_by_side(drawn, columns=COLUMNS, paper=PAPER, name=name, title=title, description=described)
    return Figure(name=name, title=title, caption=caption, file=file, panels=drawn, data=data)


def _drawn(panel: Panel, name: str, title: str) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    mpl.rcParams["svg.hashsalt"] = name
    canvas = Canvas(figsize=(PANEL_WIDTH_IN, PANEL_HEIGHT_IN))
    axes = canvas.add_axes(AXES_BOX)
    axes.set_title(panel.title)
    panel.draw(axes)
    written = io.StringIO()
    canvas.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    return svg.tidy(
        written.getvalue(), name=name, title=title, description=panel.description, attributes=_axes_in_svg(axes)
    )


def _axes_in_svg(axes: Axes) -> dict[str, str]:
    """Return attributes with which a page converts positions to values: corners in points, limits, scales, labels."""
    left, bottom, width, height = AXES_BOX
    corners = (left, left + width, 1 - bottom, 1 - bottom - height)
    sizes = (PANEL_WIDTH_IN, PANEL_WIDTH_IN, PANEL_HEIGHT_IN, PANEL_HEIGHT_IN)
    numbers = [72 * share * size for share, size in zip(corners, sizes, strict=True)]
    numbers += [*axes.get_xlim(), *axes.get_ylim()]
    return {
        "data-axes": " ".join(f"{number:.8g}" for number in numbers),
        "data-scales": f"{axes.get_xscale()} {axes.get_yscale()}",
        "data-x": axes.get_xlabel(),
        "data-y": axes.get_ylabel(),
    }
