"""Verdicts on sweeps drawn with a known truth: a small part of tests/perf/verdict_rates.py, which has the table."""

from __future__ import annotations

import pytest
from scipy import stats

from reports.claims import CLAIMS
from reports.simulated import SCENARIOS, Scenario, simulate

NULL = [scenario for scenario in SCENARIOS if not scenario.right]
REAL = [scenario for scenario in SCENARIOS if scenario.right]
SWEEPS = 100


@pytest.mark.parametrize("scenario", NULL, ids=lambda scenario: scenario.name)
def test_where_nothing_is_to_be_found_few_reports_find_anything(scenario: Scenario) -> None:
    # At most 8 % whatever the draws (docs/statistics.md); a hundred sweeps break this bound once in ten thousand times.
    wrong = simulate(scenario, SWEEPS, 1).wrong * SWEEPS
    assert wrong <= stats.binom.ppf(0.9999, SWEEPS, 0.08)


@pytest.mark.parametrize("scenario", REAL, ids=lambda scenario: scenario.name)
def test_where_the_truth_is_as_published_the_verdict_is_right_or_open(scenario: Scenario) -> None:
    rates = simulate(scenario, SWEEPS, 1)
    assert rates.wrong <= stats.binom.ppf(0.9999, SWEEPS, 0.025) / SWEEPS
    assert rates.decided >= stats.binom.ppf(0.0001, SWEEPS, 0.5) / SWEEPS


def test_every_drawn_sweep_has_the_cells_of_the_claims_that_it_is_about() -> None:
    for scenario in SCENARIOS:
        assert set(scenario.claims) <= set(CLAIMS)
        assert set(scenario.right) <= set(scenario.claims)


def test_the_same_seed_gives_the_same_rates() -> None:
    assert simulate(REAL[0], 20, 7) == simulate(REAL[0], 20, 7)
