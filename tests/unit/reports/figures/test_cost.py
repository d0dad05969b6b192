"""The cost of accuracy: fronts and costs, against values computed by hand."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree as ET

import pytest

from harness.tracking.results import SweepResults
from reports.claims.assessment import assess
from reports.figures.drawing import Figure
from reports.figures.errors import draw_figures
from reports.output.render import Settings, report_files
from reports.stats.cells import cells_of, series_of
from reports.tables.costs import Prices
from reports.testing.synthetic import synthetic_sweep

HOURS = {("plain", 8): 0.5, ("plain", 20): 1.0, ("A", 8): 0.7, ("A", 20): 2.0}
ERRORS = {("plain", 8): 9.0, ("plain", 20): 12.0, ("A", 8): 8.0, ("A", 20): 7.0}
"""Errors in percent. plain-20 costs more than both networks of depth 8 and errs more: the other three are the front."""


def costly() -> SweepResults:
    results = synthetic_sweep(depths=(8, 20), shortcuts=("plain", "A"))
    keys = list(zip(results.trials["model.shortcut"], results.trials["model.depth"], strict=True))
    trials = results.trials.assign(
        **{
            "time/total_s": [3600 * HOURS[key] / 2 for key in keys],
            "device.count": "2",
            "final/test_error_pct": [ERRORS[key] for key in keys],
        }
    )
    return dataclasses.replace(results, trials=trials)


def drawn(results: SweepResults, name: str, prices: dict[str, float] | None = None) -> Figure:
    given = Prices(currency="EUR", per_device_hour=prices or {})
    figures = draw_figures(series_of(cells_of(results)), results.curves, given)
    return next(figure for figure in figures if figure.name == name)


def rows_of(figure: Figure, cost: str) -> dict[str, tuple[float, bool]]:
    return {label: (spent, front) for name, _, _, label, spent, _, _, front in figure.data.rows if name == cost}


def test_device_hours_are_time_times_devices_and_the_front_is_what_nothing_beats() -> None:
    found = rows_of(drawn(costly(), "error-by-cost"), "device_hours")
    assert found == {
        "plain-8": (pytest.approx(0.5), True),
        "plain-20": (pytest.approx(1.0), False),
        "resnet-8-A": (pytest.approx(0.7), True),
        "resnet-20-A": (pytest.approx(2.0), True),
    }


def test_a_price_is_that_of_an_hour_of_each_device_and_unknown_where_none_is_given() -> None:
    assert rows_of(drawn(costly(), "error-by-cost"), "price") == {}
    priced = rows_of(drawn(costly(), "error-by-cost", {"AMD EPYC 7B13": 3.0}), "price")
    assert {label: spent for label, (spent, _) in priced.items()} == {
        "plain-8": pytest.approx(1.5),
        "plain-20": pytest.approx(3.0),
        "resnet-8-A": pytest.approx(2.1),
        "resnet-20-A": pytest.approx(6.0),
    }
    assert rows_of(drawn(costly(), "error-by-cost", {"another": 3.0}), "price") == {}


def test_wherever_a_price_is_its_currency_is_too() -> None:
    """In the figure's title, axis, description and numbers, and in the table of cells: 1.5 for half an hour at 3."""
    figure = drawn(costly(), "error-by-cost", {"AMD EPYC 7B13": 3.0})
    [panel] = [root for root in map(ET.fromstring, figure.panels) if "Price" in "".join(root.itertext())]
    texts = "".join(panel.itertext())
    assert "Error against cost: Price, EUR" in texts
    assert "plain-8: 1.5 EUR" in texts
    assert panel.get("data-x") == "price of a trial, EUR"
    assert {row[5] for row in figure.data.rows if row[0] == "price"} == {"EUR"}
    asked = Settings(prices=Prices(currency="EUR", per_device_hour={"AMD EPYC 7B13": 3.0}))
    report = report_files(assess(costly()), asked)["report.md"]
    assert "Price per trial, EUR" in report
    assert "| plain-8 | 3 of 3 |" in report
    assert report.split("| plain-8 | 3 of 3 |")[1].splitlines()[0].endswith("| 1.50 |")
    assert "Price" not in report_files(assess(costly()))["report.md"]


def test_what_ran_on_two_kinds_of_device_has_no_device_hours() -> None:
    results = costly()
    names = ["one" if seed else "two" for seed in results.trials["seed"]]
    mixed = dataclasses.replace(results, trials=results.trials.assign(**{"device.name": names}))
    assert rows_of(drawn(mixed, "error-by-cost"), "device_hours") == {}


def test_a_series_is_marked_so_that_a_page_can_hide_it_and_read_its_values() -> None:
    panel = ET.fromstring(drawn(synthetic_sweep(), "training-curves").panels[0])
    lines = [element for element in panel.iter() if "data-values" in element.attrib]
    assert {(line.get("data-series"), line.get("data-values")) for line in lines} == {
        (depth, values) for depth in ("8", "20", "32", "44") for values in ("training", "test")
    }
    assert len((panel.get("data-axes") or "").split()) == 8


def test_the_place_of_a_vertex_gives_back_its_value() -> None:
    figure = drawn(synthetic_sweep(shortcuts=("plain",)), "training-curves")
    panel = ET.fromstring(figure.panels[0])
    [left, right, bottom, top, x_low, x_high, y_low, y_high] = map(float, (panel.get("data-axes") or "").split())
    line = next(e for e in panel.iter() if (e.get("data-series"), e.get("data-values")) == ("44", "test"))
    path = next(element.get("d") or "" for element in line.iter() if element.get("d"))
    places = [tuple(map(float, pair)) for pair in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)]
    wanted = [(row[3], row[5]) for row in figure.data.rows if row[1:3] == (44, "test/error_pct")]
    found = [
        (
            x_low + (x - left) / (right - left) * (x_high - x_low),
            y_low + (y - bottom) / (top - bottom) * (y_high - y_low),
        )
        for x, y in places
    ]
    assert len(found) == len(wanted) == 12
    for (epoch, error), (x, y) in zip(wanted, found, strict=True):
        assert x == pytest.approx(epoch, abs=0.01)
        assert y == pytest.approx(error, abs=0.02)
