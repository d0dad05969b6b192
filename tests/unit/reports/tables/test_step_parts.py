"""Timing trials in a report: a step's parts by hand, the statement of a stall, and no empty columns for errors."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console
from scipy import stats

from harness.tracking.results import SweepResults
from reports.claims.assessment import assess
from reports.figures import steps as step_figures
from reports.output.note import sweep_note
from reports.output.render import Settings, report_files
from reports.output.terminal import print_summary
from reports.stats.cells import Cell, Trial
from reports.stats.summaries import measured
from reports.tables.scaling import scaling_lines
from reports.tables.step_parts import parts_of, scaling_table, stalls, steps_table
from reports.testing.synthetic import synthetic_sweep

SVG = "{http://www.w3.org/2000/svg}"
STALL = "parts/data_stall_pct"
ALONE = {"forward": 30.0, "backward": 40.0, "optimizer": 10.0, "compute": 80.0, "data": 100.0, "whole": 100.0}
GROUP = {**ALONE, "compute": 90.0, "whole": 125.0}
"""The slowest of several workers takes 10 ms longer than the mean, waits 10 ms for data and 25 ms for the others."""


def timed(parts: Mapping[str, float], *others: Mapping[str, float], label: str = "resnet-20-A") -> Cell:
    """Make a cell with a trial for each of the settings."""
    milliseconds = {f"parts/{name}_ms": value for name, value in parts.items()}
    trials = [
        Trial(
            trial_id=f"{label}-{seed}",
            seed=seed,
            outcome="finished",
            row={"measure": "throughput", "device.name": "TPU", "device.count": 1, **milliseconds, **other},
        )
        for seed, other in enumerate(others or ({},))
    ]
    return Cell(cell_id=label, label=label, depth=20, shortcut="A", variant="", trials=tuple(trials))


def test_the_parts_of_one_workers_step_by_hand() -> None:
    assert parts_of(timed(ALONE)) == {"forward": 30, "backward": 40, "optimizer": 10, "input": 20}


def test_the_parts_of_a_groups_step_add_up_to_the_slowest_workers_step() -> None:
    found = parts_of(timed(GROUP, {"parts/straggler_pct": 8.0}))
    assert found == {
        "forward": 30,
        "backward": 40,
        "optimizer": 10,
        "slowest": 10,
        "input": 10,
        "communication": 25,
    }
    assert sum(found.values()) == GROUP["whole"]


def test_what_cannot_be_told_apart_is_one_part() -> None:
    whole = {name: ALONE[name] for name in ("compute", "data", "whole")}
    assert parts_of(timed(whole)) == {"compute": 80, "input": 20}


def test_a_cell_that_was_not_taken_apart_has_no_parts_and_no_row() -> None:
    assert parts_of(timed({})) == {}
    assert steps_table([timed({})]).rows == ()
    assert step_figures.draw([timed({})]) == ()


@pytest.mark.parametrize(
    ("value", "low", "high", "stated"),
    [(20.0, 18.0, 22.0, "yes"), (3.0, 0.9, 5.1, "not shown"), (-1.0, -3.0, 1.0, "not shown"), (9.0, None, None, "—")],
)
def test_a_stall_is_stated_only_where_its_whole_interval_is_above_one_percent(
    value: float, low: float | None, high: float | None, stated: str
) -> None:
    cell = timed(ALONE, {STALL: value, f"{STALL}_low": low, f"{STALL}_high": high})
    table = steps_table([cell])
    assert table.rows[0][-1] == stated
    shown = table.rows[0][[column.title for column in table.columns].index("Data stall, %")]
    assert shown.startswith(f"{abs(value):.2f}" if value > 0 else "\N{MINUS SIGN}1.00 [\N{MINUS SIGN}3.00")


def test_of_several_trials_the_interval_is_students_over_them_and_may_begin_below_zero() -> None:
    values = (1.0, -0.5, 0.7)
    cell = timed(ALONE, *({STALL: value, f"{STALL}_low": 50.0} for value in values))
    found, expected = measured(cell, STALL), stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.n, found.low, found.high) == (3, pytest.approx(expected.low), pytest.approx(expected.high))
    assert stalls(found) is False


def test_a_bar_has_the_number_of_its_row_and_panels_hold_twelve() -> None:
    cells = [timed(ALONE, label=f"resnet-{depth}") for depth in range(13)]
    [figure] = step_figures.draw(cells)
    assert len(figure.panels) == 2
    rows = {row[0]: row[1] for row in steps_table(cells).rows}
    assert {(label, str(bar)) for bar, label, *_ in figure.data.rows} == set(rows.items())
    assert [row[2:] for row in figure.data.rows[:4]] == [
        ("forward", 30),
        ("backward", 40),
        ("optimizer", 10),
        ("input", 20),
    ]


def test_a_part_below_zero_is_in_the_numbers_and_not_in_the_bar() -> None:
    """Steps with data are 2 ms quicker than without: the bar ends where forward, backward and optimizer end."""
    [figure] = step_figures.draw([timed({**ALONE, "data": 78.0, "whole": 78.0})])
    assert figure.data.rows[-1] == (1, "resnet-20-A", "input", -2)
    waiting = [part for part in ET.fromstring(figure.panels[0]).iter() if part.get("data-series") == "waiting for data"]
    heights = [path.get("d") for part in waiting for path in part.iter(f"{SVG}path") if path.get("clip-path")]
    assert all(len(set(ys(path or ""))) == 1 for path in heights)


def ys(path: str) -> list[str]:
    return [pair.split()[1] for pair in path.replace("z", "").replace("M", "L").split("L") if pair.strip()]


def test_the_table_of_scaling_has_every_point_with_its_interval() -> None:
    """100 images/s alone and 150 on two with the same batch: three quarters of twice as much."""
    rates = {1: 100.0, 2: 150.0}
    cells = [
        timed(
            ALONE,
            {
                "scale.workers": workers,
                "recipe.batch_size": 64,
                "speed/images_per_s": rate,
                "speed/images_per_s_low": 0.99 * rate,
                "speed/images_per_s_high": 1.01 * rate,
            },
            label=f"workers={workers}",
        )
        for workers, rate in rates.items()
    ]
    rows = scaling_table(scaling_lines(cells)).rows
    assert rows[0] == ("workers=1", "strong", "1", "64", "1", "100 [99.0,\N{NO-BREAK SPACE}101]", "100.0")
    assert rows[1][:6] == ("workers=1", "strong", "2", "64", "1", "150 [148,\N{NO-BREAK SPACE}152]")
    assert rows[1][6].startswith("75.0 [73.9")


def timed_sweep() -> SweepResults:
    """Return a timing sweep as the harness leaves it, without any error or curve."""
    results = synthetic_sweep(depths=(8, 20), shortcuts=("A",))
    errors = [name for name in results.trials if str(name).startswith(("final/", "time_to_error/"))]
    found: dict[str, Any] = {f"parts/{name}_ms": value for name, value in ALONE.items()}
    trials = results.trials.drop(columns=errors).assign(measure="throughput", **found, **{STALL: 20.0})
    return dataclasses.replace(results, trials=trials, curves=results.curves[:0])


def test_a_report_of_timing_trials_has_no_place_for_errors() -> None:
    files = report_files(assess(timed_sweep()))
    page, text = files["index.html"], files["report.md"]
    for shown in (page, text):
        assert "Training error" not in shown
        assert "Test error, %" not in shown
        assert "Error against depth" not in shown
        assert "Training curves" not in shown
    assert {"figures/step-parts.svg", "figures/step-parts.csv"} <= set(files)
    assert not {"figures/error-by-depth.svg", "figures/training-curves.svg"} & set(files)
    assert 'href="#step"' in page
    assert "| resnet-20-A | 2 | 30.00" in text
    assert text.index("figures/step-parts.svg") < text.index("| resnet-20-A | 2 | 30.00") < text.index("## Cells")
    assert "Waits for data" in report_files(assess(timed_sweep()), Settings(latex=True))["tables/steps.tex"]


def test_a_report_of_trained_networks_keeps_its_errors() -> None:
    text = report_files(assess(synthetic_sweep()))["report.md"]
    assert "Training error, %" in text
    assert "Where a step" not in text


def test_the_terminal_and_the_note_give_speeds_where_there_are_no_errors() -> None:
    results = timed_sweep()
    console = Console(file=io.StringIO(), width=80)
    print_summary(assess(results), console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Images per second" in shown
    assert "error" not in shown.split("Images per second")[1].split("\n\n")[0].lower()
    assert "Images/s" in sweep_note(assess(results))
    assert "Test error" not in sweep_note(assess(results))
