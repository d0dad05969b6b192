"""Figures: the same bytes each time, fit for a strict page, and honest without data."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree as ET

import pytest

from reports.figures.errors import Figure, draw_figures
from reports.figures.palette import DARK, dark_colours, depth_colours
from reports.stats.cells import cells_of, series_of
from reports.testing.synthetic import synthetic_sweep

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def figures() -> tuple[Figure, ...]:
    results = synthetic_sweep(outcomes={("plain", 44, 1): "diverged"})
    return draw_figures(series_of(cells_of(results)), results.curves)


def test_there_is_one_panel_of_curves_a_shortcut_and_one_of_errors_a_split(figures: tuple[Figure, ...]) -> None:
    panels = {figure.name: len(figure.panels) for figure in figures}
    assert (panels["error-by-depth"], panels["training-curves"]) == (2, 3)


def test_every_file_and_panel_is_well_formed_and_carries_no_date_style_or_link(figures: tuple[Figure, ...]) -> None:
    for text in [part for figure in figures for part in (figure.file, *figure.panels)]:
        root = ET.fromstring(text)
        assert root.tag == f"{SVG}svg"
        tags = {element.tag for element in root.iter()}
        assert not tags & {f"{SVG}style", f"{SVG}metadata", f"{SVG}script", f"{SVG}image"}
        assert not [element for element in root.iter() if "style" in element.attrib]
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


def test_identifiers_are_unique_over_all_panels_of_a_page(figures: tuple[Figure, ...]) -> None:
    found = [name for figure in figures for panel in figure.panels for name in re.findall(r' id="([^"]+)"', panel)]
    assert len(found) == len(set(found)) > 0


def test_every_reference_within_a_figure_leads_somewhere(figures: tuple[Figure, ...]) -> None:
    for text in [part for figure in figures for part in (figure.file, *figure.panels)]:
        wanted = set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text))
        have = set(re.findall(r' id="([^"]+)"', text))
        assert {one or two for one, two in wanted} <= have


def test_figures_have_a_title_and_a_description_with_the_values(figures: tuple[Figure, ...]) -> None:
    error = ET.fromstring(figures[0].panels[0])
    assert error.get("role") == "img"
    assert error.findtext(f"{SVG}title") == "Error against depth: Final training error"
    assert "plain: depth 8 0.38 %, depth 20 12.73 %" in (error.findtext(f"{SVG}desc") or "")


def test_training_error_is_thin_and_dashed_and_test_error_bold(figures: tuple[Figure, ...]) -> None:
    colour = depth_colours((8, 20, 32, 44))[44]
    plain = ET.fromstring(figures[1].panels[0])
    lines = [
        element for element in plain.iter(f"{SVG}path") if element.get("stroke") == colour and element.get("clip-path")
    ]
    assert sorted((float(line.get("stroke-width", "1")), "stroke-dasharray" in line.attrib) for line in lines) == [
        (0.9, True),
        (2.1, False),
    ]


def test_a_strangers_name_is_text_and_never_markup_or_mathematics() -> None:
    results = synthetic_sweep(shortcuts=("$x^2$ <b>&",))
    for figure in draw_figures(series_of(cells_of(results)), results.curves):
        texts = "".join(ET.fromstring(figure.file).itertext())
        assert "$x^2$ <b>&" in texts


def test_a_sweep_without_any_result_gives_figures_that_say_so() -> None:
    outcomes = {(shortcut, 8, 0): "missing" for shortcut in ("plain", "A")}
    results = synthetic_sweep(depths=(8,), shortcuts=("plain", "A"), seeds=(0,), outcomes=outcomes)
    figures = draw_figures(series_of(cells_of(results)), results.curves)
    assert all("no data yet" in figure.file for figure in figures)


def test_a_sweep_without_cells_gives_the_same_figures() -> None:
    results = synthetic_sweep(depths=(8,), shortcuts=("A",))
    empty = dataclasses.replace(results, curves=results.curves[:0])
    assert [figure.name for figure in draw_figures((), empty.curves)] == ["error-by-depth", "training-curves"]


def _luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, two: str) -> float:
    high, low = sorted((_luminance(one), _luminance(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_lines_stand_out_on_light_and_on_dark_paper() -> None:
    # WCAG 2.2, success criterion 1.4.11: graphics need a contrast of 3.
    depths = (8, 20, 32, 44, 56, 110)
    for light, dark in dark_colours(depths).items():
        if light in ("#ffffff", "#d8dee4"):
            continue
        assert _contrast(light, "#ffffff") > 3, light
        assert _contrast(dark, DARK["#ffffff"]) > 3, dark


def test_no_depth_has_the_colour_of_a_shortcut() -> None:
    assert not set(depth_colours(range(8, 120, 6)).values()) & set(DARK)
