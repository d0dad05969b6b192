"""Trials grouped into cells and series."""

from __future__ import annotations

import dataclasses
import math

import pandas as pd
import pytest

from reports.stats.cells import as_number, as_text, cells_of, is_missing, ordered, series_of, varied_settings
from reports.stats.summaries import hardware_of
from reports.testing.synthetic import synthetic_sweep


def test_seeds_of_one_cell_are_one_cell() -> None:
    cells = cells_of(synthetic_sweep())
    assert len(cells) == 12
    assert [trial.seed for trial in cells[0].trials] == [0, 1, 2]


def test_series_come_plain_first_then_as_the_papers_list_them_and_shallow_before_deep() -> None:
    series = series_of(cells_of(synthetic_sweep(depths=(44, 8), shortcuts=("zigzag", "C", "A", "plain", "B"))))
    assert [one.name for one in series] == ["plain", "A", "B", "C", "zigzag"]
    assert [cell.depth for cell in series[0].cells] == [8, 44]


def test_cells_are_ordered_by_shortcut_and_depth_whatever_ran_first() -> None:
    cells = ordered(cells_of(synthetic_sweep(depths=(44, 8), shortcuts=("A", "plain"))))
    assert [cell.label for cell in cells] == ["plain-8", "plain-44", "resnet-8-A", "resnet-44-A"]


def test_a_cell_without_a_depth_is_kept_and_belongs_to_no_series() -> None:
    results = synthetic_sweep(depths=(8,), shortcuts=("A",))
    without = dataclasses.replace(results, trials=results.trials.drop(columns=["model.depth", "model.shortcut"]))
    cells = cells_of(without)
    assert (len(cells), cells[0].depth, cells[0].shortcut) == (1, None, None)
    assert series_of(cells) == ()


def test_another_axis_of_the_matrix_splits_a_shortcut_into_series() -> None:
    results = synthetic_sweep(shortcuts=("A",))
    wide = results.trials.assign(**{"model.width": 32, "cell_id": "wide-" + results.trials["cell_id"]})
    both = dataclasses.replace(results, trials=pd.concat([results.trials, wide], ignore_index=True))
    assert [one.name for one in series_of(cells_of(both))] == ["A, width 16", "A, width 32"]


def test_a_setting_that_changes_with_depth_does_not_split_a_series() -> None:
    results = synthetic_sweep(shortcuts=("A",))
    warm = (results.trials["model.depth"] == 44).map({True: 0.25, False: 0.0})
    trials = results.trials.assign(**{"recipe.warmup_fraction": warm})
    assert varied_settings(trials) == ["recipe.warmup_fraction"]
    series = series_of(cells_of(dataclasses.replace(results, trials=trials)))
    assert [(one.name, len(one.cells)) for one in series] == [("A", 4)]


@pytest.mark.parametrize("value", [None, math.nan, pd.NA, pd.NaT])
def test_every_way_of_saying_nothing_is_missing(value: object) -> None:
    assert is_missing(value)
    assert as_number(value) is None
    assert as_text(value) == ""


def test_numbers_that_are_none_are_not_numbers() -> None:
    assert as_number("abc") is None
    assert as_number(math.inf) is None
    assert as_number(True) is None
    assert as_number("3") == 3.0


def test_whole_floats_read_as_whole_numbers() -> None:
    assert as_text(8.0) == "8"
    assert as_text(0.1) == "0.1"


def test_a_share_of_a_hosts_time_has_no_interval_beyond_all_of_it() -> None:
    results = synthetic_sweep(depths=(8,), shortcuts=("A",), seeds=(0, 1, 2))
    busy = dataclasses.replace(results, trials=results.trials.assign(**{"host/cpu_pct": [100.0, 100.0, 97.0]}))
    (cell,) = cells_of(busy)
    found = hardware_of(cell, "host/cpu_pct")
    assert (found.mean, found.high) == (99.0, 100.0)
    assert found.low is not None
    assert found.low < 97
