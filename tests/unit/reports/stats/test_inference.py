"""Intervals, tests and sample sizes, against scipy.stats by another path, closed forms, and published tables."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from reports.stats.inference import (
    Term,
    clopper_pearson_pct,
    difference_of_means,
    estimate,
    estimate_pct,
    holm,
    sample,
    unseen_share,
    varies,
    welch,
)


def test_the_mean_of_three_seeds_has_the_t_interval_that_one_computes_by_hand() -> None:
    # 1, 2, 3: mean 2, standard deviation 1, t(0.975, 2) = 4.3027 (any t table), half-width 4.3027 / sqrt(3) = 2.4841
    found = estimate([1.0, 2.0, 3.0])
    assert (found.n, found.mean, found.sd) == (3, 2.0, 1.0)
    assert found.low == pytest.approx(2 - 2.4841, abs=1e-4)
    assert found.high == pytest.approx(2 + 2.4841, abs=1e-4)


def test_one_seed_has_a_mean_and_no_interval() -> None:
    found = estimate([12.5])
    assert (found.n, found.mean, found.sd, found.low, found.high) == (1, 12.5, None, None, None)


def test_no_seed_has_nothing() -> None:
    assert estimate([]).mean is None


def test_an_interval_of_errors_ends_at_zero_percent() -> None:
    assert estimate_pct([0.0, 0.0, 0.3]).low == 0.0


def test_one_seed_gets_the_exact_interval_of_its_networks_images() -> None:
    # No wrong image among N: the upper limit solves (1 - p)^N = 0.025.
    found = estimate_pct([0.0], images=1437)
    assert found.exact
    assert (found.mean, found.low) == (0.0, 0.0)
    assert found.high == pytest.approx(100 * (1 - 0.025 ** (1 / 1437)))


@pytest.mark.parametrize("images", [None, 1437])
def test_seeds_that_agree_have_no_interval_however_many_images_there_are(images: int | None) -> None:
    found = estimate_pct([4.0, 4.0], images=images)
    assert (found.mean, found.sd, found.low, found.high, found.exact) == (4.0, 0.0, None, None, False)
    assert found.alike


def test_none_of_four_seeds_leaves_up_to_53_percent_of_seeds_unseen() -> None:
    # Clopper and Pearson's upper limit for 0 of 4, one-sided 95 %.
    expected = stats.binomtest(0, 4, alternative="less").proportion_ci(0.95, method="exact").high
    assert unseen_share(4) == pytest.approx(expected)
    assert round(100 * expected) == 53


def test_the_mean_of_seeds_that_agree_is_as_far_as_the_unseen_ones_allow() -> None:
    # Four seeds at 10 %: at 95 % two-sided, 1 - 0.025^(1/4) = 60.24 % of seeds may end at 0 or at 100 %.
    unseen = stats.binomtest(0, 4).proportion_ci(0.95, method="exact").high
    low, high = Term(weight=1, mean=10.0, sd=0.0, n=4).interval(0.95)
    assert (low, high) == pytest.approx((10 - 10 * unseen, 10 + 90 * unseen))


def test_the_bound_for_unseen_seeds_joins_both_means_limits_by_their_squares() -> None:
    found = difference_of_means([sample(-1, [10.0] * 4), sample(1, [30.0, 32.0, 34.0])])
    unseen = stats.binomtest(0, 4).proportion_ci(0.95, method="exact").high
    half = stats.t.ppf(0.975, 2) * 2 / math.sqrt(3)
    expected = (22 - math.hypot(90 * unseen, half), 22 + math.hypot(10 * unseen, half))
    assert found.interval(0.95) == pytest.approx(expected)


def test_the_p_value_of_unseen_seeds_is_where_their_interval_touches_the_threshold() -> None:
    found = difference_of_means([sample(-1, [0.0] * 3), sample(1, [0.0] * 3)])
    # Only the second side can lie above: its one-sided limit at alpha is 100 (1 - alpha^(1/3)), 30 at 0.7^3.
    assert found.p_below(30.0) == pytest.approx(0.7**3, rel=1e-6)
    assert found.p_above(30.0) == pytest.approx(1 - 0.7**3, rel=1e-6)


@pytest.mark.parametrize(
    ("first", "second"),
    [([1.0, 2.0, 3.0], [4.0, 6.0, 9.0]), ([0.0, 0.0, 0.0], [30.1, 41.7, 35.2]), ([5.0, 5.1], [5.2, 4.9, 5.05, 6.0])],
)
def test_welch_agrees_with_scipys_own_t_test(first: list[float], second: list[float]) -> None:
    found = welch(first, second)
    expected = stats.ttest_ind(second, first, equal_var=False)
    assert found is not None
    assert found.interval(0.95) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    above = stats.ttest_ind(second, first, equal_var=False, alternative="greater")
    below = stats.ttest_ind(second, first, equal_var=False, alternative="less")
    assert found.p_above(0.0) == pytest.approx(above.pvalue)
    assert found.p_below(0.0) == pytest.approx(below.pvalue)


def test_welch_against_a_threshold_is_welch_of_shifted_values() -> None:
    found = welch([1.0, 2.0, 4.0], [3.0, 3.5, 5.0])
    shifted = stats.ttest_ind([2.0, 2.5, 4.0], [1.0, 2.0, 4.0], equal_var=False, alternative="less")
    assert found is not None
    assert found.p_below(1.0) == pytest.approx(shifted.pvalue)


def test_welch_needs_two_seeds_a_side_and_some_spread() -> None:
    assert welch([1.0], [2.0, 3.0]) is None
    assert welch([1.0, 1.0], [2.0, 2.0]) is None


@pytest.mark.parametrize("wrong", [0, 1, 7, 360])
def test_the_exact_interval_agrees_with_scipys_binomial_test(wrong: int) -> None:
    expected = stats.binomtest(wrong, 360).proportion_ci(0.95, method="exact")
    assert clopper_pearson_pct(wrong, 360, 0.95) == pytest.approx((100 * expected.low, 100 * expected.high))


def test_holm_steps_down_as_in_a_worked_example() -> None:
    # By hand: 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04; the last may not fall below 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7, 0.9]) == [1.0, 1.0]


def test_rounding_is_no_spread() -> None:
    assert not varies([0.1 + 0.2, 0.3])
    assert varies([0.0, 100 / 1437])
    assert not varies([math.pi] * 3)
