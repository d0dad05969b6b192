"""CSV and JSON for other programs."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import statistics

import pytest

from reports.claims.assessment import assess
from reports.output.exports import cell_text, cells_csv, claims_json, trials_csv
from reports.stats.cells import cells_of, ordered
from reports.testing.synthetic import synthetic_sweep


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_trial_is_a_line_with_its_numbers_in_full() -> None:
    results = synthetic_sweep()
    found = rows(trials_csv(results.trials))
    assert len(found) == 36
    assert float(found[7]["final/train_error_pct"]) == results.trials["final/train_error_pct"].iloc[7]
    assert list(found[0])[:4] == ["trial_id", "cell_id", "label", "seed"]


def test_a_depth_stays_a_whole_number_where_missing_trials_make_pandas_hold_floats() -> None:
    results = synthetic_sweep()
    trials = results.trials.astype({"model.depth": float})
    assert {row["model.depth"] for row in rows(trials_csv(trials))} == {"8", "20", "32", "44"}


def test_what_is_not_known_is_empty_and_not_zero() -> None:
    results = synthetic_sweep(outcomes={("plain", 8, 0): "missing"})
    first = rows(trials_csv(results.trials))[0]
    assert (first["outcome"], first["final/train_error_pct"], first["run_id"]) == ("missing", "", "")


def test_a_cells_line_holds_mean_and_deviation_over_its_seeds() -> None:
    results = synthetic_sweep()
    cells = ordered(cells_of(results))
    found = next(row for row in rows(cells_csv(cells)) if row["label"] == "plain-44")
    trials = results.trials
    values = list(trials.loc[trials["label"] == "plain-44", "final/train_error_pct"])
    assert float(found["train_error_pct_mean"]) == pytest.approx(statistics.mean(values))
    assert float(found["train_error_pct_sd"]) == pytest.approx(statistics.stdev(values))
    assert (found["train_error_pct_n"], found["depth"], found["shortcut"]) == ("3", "44", "plain")


def test_speeds_of_different_hardware_are_not_pooled() -> None:
    results = synthetic_sweep()
    trials = results.trials.copy()
    trials.loc[0, "device.name"] = "NVIDIA H200"
    found = rows(cells_csv(cells_of(dataclasses.replace(results, trials=trials))))
    assert (found[0]["images_per_s_n"], found[0]["images_per_s_mean"]) == ("0", "")
    assert found[0]["devices"] == "1 x AMD EPYC 7B13; 1 x NVIDIA H200"
    assert found[1]["images_per_s_n"] == "3"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_text_that_a_spreadsheet_would_compute_is_marked_as_text(text: str) -> None:
    assert cell_text(text) == f"'{text}"


def test_numbers_below_zero_stay_numbers() -> None:
    assert cell_text(-1.5) == "-1.5"
    assert cell_text(-3) == "-3"


def test_a_reason_with_commas_quotes_and_lines_survives_csv() -> None:
    reason = 'a "b", c\nd'
    results = synthetic_sweep(outcomes={("plain", 8, 0): "failed"}, reasons={("plain", 8, 0): reason})
    assert rows(trials_csv(results.trials))[0]["reason"] == reason


def test_claims_json_holds_every_value_behind_a_verdict() -> None:
    results = synthetic_sweep()
    found = json.loads(claims_json(results, assess(results).verdicts))
    plain = found["claims"][0]
    assert (found["version"], plain["id"], plain["verdict"]) == (2, "plain-degrades-with-depth", "supported")
    assert len(plain["comparisons"][0]["second"]["values"]) == 3
    assert [side["depth"] for side in plain["comparisons"][0]["trend"]] == [8, 20, 32, 44]


def test_claims_json_is_valid_where_nothing_ran() -> None:
    outcomes = {(shortcut, depth, 0): "missing" for shortcut in ("plain", "A", "B") for depth in (8, 20, 32, 44)}
    results = synthetic_sweep(seeds=(0,), outcomes=outcomes)
    found = json.loads(claims_json(results, assess(results).verdicts))
    assert {claim["verdict"] for claim in found["claims"]} == {"not run"}
    assert found["claims"][0]["comparisons"][0]["difference"] is None
