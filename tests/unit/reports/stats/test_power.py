"""Power and sample sizes, against published tables, statsmodels' figures, and draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from reports.stats.power import Planned, Spreads, detectable, power_of, power_of_all, required_seeds

ONE_EACH = Spreads(sds=(1.0, 1.0))


def test_the_number_of_seeds_is_cohens() -> None:
    # Cohen 1988, table 2.4.1: two-tailed 0.05, power 0.80: 64 a group for d = 0.5, 26 for d = 0.8.
    assert required_seeds([0.5], ONE_EACH, alpha=0.05) == 64
    assert required_seeds([-0.8], ONE_EACH, alpha=0.05) == 26


def test_the_power_of_17_a_group_for_a_standard_deviation_is_cohens() -> None:
    # Cohen 1988, table 2.3.5: two-tailed 0.05, d = 1.00, n = 17: 0.80.
    assert power_of([1.0], ONE_EACH, n=17, alpha=0.05) == pytest.approx(0.80, abs=0.01)


def test_no_number_of_seeds_is_given_where_none_can_be_reckoned() -> None:
    assert required_seeds([0.0], ONE_EACH, alpha=0.05) is None
    assert required_seeds([1.0], Spreads(sds=(0.0, 0.0)), alpha=0.05) is None
    assert required_seeds([0.001], Spreads(sds=(10.0, 10.0)), alpha=0.05) is None


def test_a_plain_difference_needs_no_more_than_a_few_seeds() -> None:
    assert required_seeds([1e6], ONE_EACH, alpha=0.05) == 2


def test_one_seed_tells_nothing() -> None:
    assert power_of([100.0], ONE_EACH, n=1, alpha=0.05) == 0.0
    assert detectable(ONE_EACH, n=1, alpha=0.05) is None


def test_two_bounds_take_more_seeds_than_one_and_a_far_one_takes_none() -> None:
    one = required_seeds([0.5], ONE_EACH, alpha=0.05)
    both = required_seeds([0.5, 0.5], ONE_EACH, alpha=0.05)
    assert one is not None
    assert both is not None
    assert both > one
    assert required_seeds([0.5, 50.0], ONE_EACH, alpha=0.05) == one


def test_the_smallest_distance_that_can_be_told_is_the_one_that_takes_these_seeds() -> None:
    # Cohen's figures in reverse: 64 a group detect half a standard deviation.
    assert detectable(ONE_EACH, n=64, alpha=0.05) == pytest.approx(0.5, abs=0.005)


def test_the_seeds_behind_a_published_mean_limit_what_more_seeds_of_ours_can_tell() -> None:
    # The paper's error alone is 1 / sqrt(5) with 4 degrees of freedom: half a spread is never detected.
    beside = Spreads(sds=(1.0,), published_sd=1.0, published_runs=5)
    assert required_seeds([0.5], beside, alpha=0.05) is None
    assert required_seeds([0.5], Spreads(sds=(1.0,)), alpha=0.05) == 34  # one-sample t test, G*Power's manual
    # Our own mean is then known for certain: the detectable gap is the critical value times the paper's error.
    limit = detectable(beside, n=100_000, alpha=0.05)
    assert limit == pytest.approx(stats.t.ppf(0.975, 4) / math.sqrt(5), rel=0.01)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_power_is_the_share_of_draws_in_which_welchs_test_rejects(n: int) -> None:
    # Three standard errors of a share of 4,000 are 2.4 points.
    rng = np.random.default_rng(1603)
    first, second = rng.normal(0, 1.0, (4000, n)), rng.normal(2.0, 1.5, (4000, n))
    found = stats.ttest_ind(second, first, equal_var=False, axis=1)
    share = np.mean((found.pvalue < 0.05) & (found.statistic > 0))
    assert power_of([2.0], Spreads(sds=(1.0, 1.5)), n=n, alpha=0.05) == pytest.approx(share, abs=0.024)


def test_the_power_of_several_comparisons_counts_the_seeds_that_they_share_once() -> None:
    # Each of two networks against a third: scipy on draws of all three, one one-sided test each.
    spreads = Spreads(sds=(1.0, 1.0))
    planned = [
        Planned(distances=lambda value: (value,), gap=2.0, weights=((0, -1.0), (index, 1.0)), spreads=spreads)
        for index in (1, 2)
    ]
    third, *others = np.random.default_rng(7).normal([[[0.0]], [[2.0]], [[2.0]]], 1.0, (3, 4000, 4))
    found = [stats.ttest_ind(one, third, equal_var=False, axis=1) for one in others]
    share = np.mean([(one.pvalue < 0.05) & (one.statistic > 0) for one in found], axis=1)
    both = np.mean(np.all([(one.pvalue < 0.05) & (one.statistic > 0) for one in found], axis=0))
    assert power_of_all(planned, n=4, alpha=0.05) == pytest.approx(both, abs=0.03)
    assert both > share[0] * share[1] + 0.03  # what independent seeds would give
