"""Verdicts on sweeps drawn with a known truth: a small part of tests/perf/verdict_rates.py, which has the table."""

from __future__ import annotations

import pytest
from scipy import stats

from reports.claims.assurance import wrong_pct
from reports.claims.registry import CLAIMS
from reports.testing.simulated import SCENARIOS, Scenario, simulate

NULL = [scenario for scenario in SCENARIOS if not scenario.right]
REAL = [scenario for scenario in SCENARIOS if scenario.right]
SWEEPS = 100


def stated_pct(scenario: Scenario) -> float:
    """Return the percentage of sweeps in which a verdict may be wrong, as stated to the reader."""
    if scenario.design is None:
        return max(5.0, scenario.unseen_pct)
    fewest = min(truth.seeds or scenario.seeds for truth in scenario.cells.values())
    return wrong_pct(scenario.design, fewest)[scenario.shape]


@pytest.mark.parametrize("scenario", NULL, ids=lambda scenario: scenario.name)
def test_where_nothing_is_to_be_found_no_more_reports_are_wrong_than_is_stated(scenario: Scenario) -> None:
    # A hundred sweeps that keep to the stated bound break it here once in ten thousand times.
    wrong = simulate(scenario, SWEEPS, 1).wrong * SWEEPS
    assert wrong <= stats.binom.ppf(0.9999, SWEEPS, stated_pct(scenario) / 100)


@pytest.mark.parametrize("scenario", REAL, ids=lambda scenario: scenario.name)
def test_where_the_truth_is_as_published_verdicts_are_right_as_often_as_is_planned(scenario: Scenario) -> None:
    # At most five points from the plan, plus the chance error of a hundred sweeps.
    rates = simulate(scenario, SWEEPS, 1)
    assert rates.wrong <= stats.binom.ppf(0.9999, SWEEPS, 0.025) / SWEEPS
    assert rates.promised is not None
    assert rates.decided is not None
    likely = [min(1.0, max(0.0, rates.promised + off)) for off in (-0.05, 0.05)]
    fewest, most = stats.binom.ppf(0.0001, SWEEPS, likely[0]), stats.binom.ppf(0.9999, SWEEPS, likely[1])
    assert fewest <= rates.decided * SWEEPS <= most


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_seeds_that_all_agree_are_no_evidence_of_the_seeds_that_nobody_ran(seeds: int) -> None:
    # Nine seeds of ten end at 0 %, the tenth at 10 %: the mean is at the margin, so that "supported" would be wrong.
    [scenario] = [one for one in SCENARIOS if one.name == f"nine of ten seeds alike, {seeds} seeds"]
    rates = simulate(scenario, SWEEPS, 1)
    assert rates.wrong == 0.0
    assert rates.held * SWEEPS <= stats.binom.ppf(0.9999, SWEEPS, 0.9**seeds)
    assert rates.covered == 1.0


def test_every_drawn_sweep_has_the_cells_of_the_claims_that_it_is_about() -> None:
    for scenario in SCENARIOS:
        assert set(scenario.claims) <= set(CLAIMS)
        assert set(scenario.right) <= set(scenario.claims)


def test_the_same_seed_gives_the_same_rates() -> None:
    assert simulate(REAL[0], 20, 7) == simulate(REAL[0], 20, 7)
