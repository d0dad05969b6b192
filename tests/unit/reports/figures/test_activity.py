"""Activity over time: exactly the monitored quantities are drawn, each under its own name."""

from __future__ import annotations

import dataclasses
from xml.etree import ElementTree as ET

import pandas as pd

from harness.tracking.results import SweepResults
from reports.claims.assessment import assess
from reports.figures import activity as activity_figures
from reports.figures.drawing import Figure
from reports.figures.palette import depth_colours
from reports.output.render import report_files
from reports.stats.cells import cells_of
from reports.testing.synthetic import synthetic_sweep

SVG = "{http://www.w3.org/2000/svg}"
COLUMNS = ["trial_id", "node", "source", "quantity", "elapsed_s", "value"]


def watched(*points: tuple[str, str, str, float, float]) -> SweepResults:
    """Return a sweep whose first trial was monitored: node, source, quantity, seconds and value of each point."""
    results = synthetic_sweep(depths=(8, 20), shortcuts=("A",))
    first = results.trials["trial_id"][0]
    return dataclasses.replace(results, activity=pd.DataFrame([(first, *point) for point in points], columns=COLUMNS))


def drawn(results: SweepResults) -> Figure:
    [figure] = activity_figures.draw(cells_of(results), results.activity)
    return figure


def titles(figure: Figure) -> list[str]:
    return [(ET.fromstring(panel).findtext(f"{SVG}title") or "").split(": ", 1)[1] for panel in figure.panels]


def test_without_a_gpu_the_hosts_processors_and_memory_are_shown_and_named_so() -> None:
    figure = drawn(synthetic_sweep())
    assert titles(figure) == ["Host: processors busy", "Host: memory in use"]
    assert "No GPU was watched." in figure.caption
    assert "of all that runs on it, not of the trial alone" in figure.caption


def test_gpus_come_first_each_quantity_in_a_panel_with_its_unit() -> None:
    points = [
        ("", "host", "host_cpu_pct", 0.5, 30.0),
        ("", "gpu_0", "power_w", 0.5, 600.0),
        ("", "gpu_0", "busy_pct", 0.5, 97.0),
        ("", "gpu_0", "memory_pct", 0.5, 60.0),
    ]
    figure = drawn(watched(*points))
    assert titles(figure) == ["GPU: some kernel ran", "GPU: memory in use", "GPU: power", "Host: processors busy"]
    assert [ET.fromstring(panel).get("data-y") for panel in figure.panels] == ["%", "%", "W", "%"]
    assert "No GPU" not in figure.caption


def test_of_several_gpus_the_line_is_the_mean_and_the_table_has_each() -> None:
    """One at 80 and 60 %, the other at 100 and 100 %: 90 and 80, 85 on average."""
    points = [
        ("", f"gpu_{index}", "busy_pct", second, value)
        for index, values in enumerate(((80.0, 60.0), (100.0, 100.0)))
        for second, value in zip((0.5, 1.5), values, strict=True)
    ]
    figure = drawn(watched(*points))
    assert "Mean over time: 8: 85.0 %" in (ET.fromstring(figure.panels[0]).findtext(f"{SVG}desc") or "")
    assert "the band reaches from least to most" in figure.caption
    assert [row[2:] for row in figure.data.rows] == [point[1:] for point in points]


def test_a_long_trial_is_drawn_in_minutes_or_hours() -> None:
    for seconds, unit in ((599.0, "s"), (1200.0, "min"), (20_000.0, "h")):
        panel = ET.fromstring(drawn(watched(("", "host", "host_cpu_pct", seconds, 50.0))).panels[0])
        assert panel.get("data-x") == f"time watched, {unit}"


def test_a_depth_has_the_colour_that_it_has_in_the_training_curves() -> None:
    panel = ET.fromstring(drawn(synthetic_sweep()).panels[0])
    strokes = {line.get("data-series"): line for line in panel.iter() if line.get("data-values")}
    for depth, colour in depth_colours((8, 20, 32, 44)).items():
        assert colour in {path.get("stroke") for path in strokes[str(depth)].iter()}


def test_a_sweep_that_nobody_watched_has_no_such_figure_and_no_such_section() -> None:
    results = synthetic_sweep()
    unwatched = dataclasses.replace(results, activity=results.activity[:0])
    assert activity_figures.draw(cells_of(unwatched), unwatched.activity) == ()
    files = report_files(assess(unwatched))
    assert "figures/activity-over-time.svg" not in files
    assert 'id="devices"' not in files["index.html"]


def test_the_report_has_the_figure_its_numbers_and_a_section_that_the_page_leads_to() -> None:
    files = report_files(assess(synthetic_sweep()))
    assert 'href="#devices"' in files["index.html"]
    assert 'id="figure-activity-over-time"' in files["index.html"]
    assert "![What the devices did over time](figures/activity-over-time.svg)" in files["report.md"]
    header, first, *_ = files["figures/activity-over-time.csv"].splitlines()
    assert header == "trial,node,source,quantity,elapsed_s,value"
    assert first.split(",")[1:5] == ["", "host", "host_cpu_pct", "0.5"]
