"""Colours: each has one meaning in all figures and is distinct for any colour vision, on light and dark paper.

Shortcuts are hues (Okabe and Ito 2008); depths are steps of lightness in one other hue, strongest for the deepest.
Figures are drawn in the light colours; `DARK` and `dark_colours` give the colours for a page with a dark background.
"""

from __future__ import annotations

from collections.abc import Sequence

INK, MUTED, GRID, PAPER = "#1f2328", "#57606a", "#d8dee4", "#ffffff"

SHORTCUT_COLOURS = {"plain": "#d55e00", "A": "#0072b2", "B": "#009e73", "C": "#b8860b"}
FURTHER_COLOURS = ("#8a6d5b", "#7a7a7a")
MARKERS = {"plain": "o", "A": "s", "B": "^", "C": "D"}
FURTHER_MARKERS = ("v", "P", "X")
LINE_STYLES = ("-", "--", ":", "-.")

PART_COLOURS = {
    "forward": "#7d8ea3",
    "backward": "#55677d",
    "optimizer": "#33414f",
    "compute": "#55677d",
    "slowest": "#1f7a8c",
    "input": "#c0392b",
    "communication": "#6f4fb3",
}
"""Colours of the parts of a step: slate for computation, other hues for waiting."""

DARK = {
    INK: "#e6edf3",
    MUTED: "#9aa4af",
    GRID: "#343b44",
    PAPER: "#12161c",
    "#d55e00": "#ff8a3d",
    "#0072b2": "#58b0f0",
    "#009e73": "#2fc99a",
    "#b8860b": "#e5b83b",
    "#8a6d5b": "#cfae98",
    "#7a7a7a": "#a5a5a5",
    "#7d8ea3": "#71849b",
    "#55677d": "#a3b4c7",
    "#33414f": "#dbe4ee",
    "#1f7a8c": "#5cc3d6",
    "#c0392b": "#ff7a6b",
    "#6f4fb3": "#b49cf0",
}

LIGHT_DEPTHS = ((221, 98, 168), (165, 30, 125), (60, 8, 84))
"""Colours of the shallowest, middle and deepest network."""
DARK_DEPTHS = ((178, 84, 154), (224, 118, 194), (255, 214, 244))


def shortcut_colour(shortcut: str, others: Sequence[str]) -> str:
    """Return the colour of a shortcut; `others` are this sweep's shortcuts without a fixed colour."""
    if shortcut in SHORTCUT_COLOURS:
        return SHORTCUT_COLOURS[shortcut]
    return FURTHER_COLOURS[list(others).index(shortcut) % len(FURTHER_COLOURS)]


def shortcut_marker(shortcut: str, others: Sequence[str]) -> str:
    """Return the marker of a shortcut, so that colour is never the only difference."""
    if shortcut in MARKERS:
        return MARKERS[shortcut]
    return FURTHER_MARKERS[list(others).index(shortcut) % len(FURTHER_MARKERS)]


def depth_colours(depths: Sequence[int]) -> dict[int, str]:
    """Return a light-paper colour for each depth of a sweep."""
    return _ramp(depths, LIGHT_DEPTHS)


def dark_colours(depths: Sequence[int]) -> dict[str, str]:
    """Return every light-paper colour of a report with its replacement on a dark page."""
    light, dark = _ramp(depths, LIGHT_DEPTHS), _ramp(depths, DARK_DEPTHS)
    return DARK | {light[depth]: dark[depth] for depth in light}


def _ramp(depths: Sequence[int], anchors: Sequence[tuple[int, int, int]]) -> dict[int, str]:
    ordered = sorted(set(depths))
    last = max(len(ordered) - 1, 1)
    return {depth: _hex(_between(anchors, step / last)) for step, depth in enumerate(ordered)}


def _between(anchors: Sequence[tuple[int, int, int]], at: float) -> list[float]:
    position = at * (len(anchors) - 1)
    index = min(int(position), len(anchors) - 2)
    share = position - index
    return [low + share * (high - low) for low, high in zip(anchors[index], anchors[index + 1], strict=True)]


def _hex(channels: Sequence[float]) -> str:
    return "#" + "".join(f"{round(channel):02x}" for channel in channels)
