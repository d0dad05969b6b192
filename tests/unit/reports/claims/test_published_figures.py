"""Cells against published figures: a mean with its spread, and thresholds for every seed."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from reports.claims.verdicts import Ruling
from reports.testing.synthetic_cells import cifar
from tests.unit.reports.claims.conftest import judged, resnet_110

SUPPORTED, CONTRADICTED, HELD, INCONCLUSIVE, NOT_RUN = Ruling


@pytest.mark.parametrize(
    ("values", "ruling"),
    [
        ([6.5, 6.6, 6.7, 6.6, 6.5], SUPPORTED),
        ([7.9, 8.0, 8.1, 8.0, 7.9], CONTRADICTED),
        ([5.4, 5.5, 5.6, 5.5, 5.4], CONTRADICTED),
        ([7.1, 7.3, 7.4, 7.2, 7.3], INCONCLUSIVE),
        ([6.6], INCONCLUSIVE),
    ],
)
def test_the_published_mean_is_reached_within_three_quarters_of_a_point_or_missed(
    values: list[float], ruling: Ruling
) -> None:
    assert judged("resnet-110-reaches-published", resnet_110(values)).ruling is ruling


def test_the_interval_from_the_published_mean_holds_the_papers_spread_too() -> None:
    values = [6.2, 6.6, 6.9, 6.7]
    comparison = judged("resnet-110-reaches-published", resnet_110(values)).comparisons[0]
    mean, sd = sum(values) / 4, stats.tstd(values)
    assert comparison.effect == pytest.approx(mean - 6.61)
    # Four seeds beside five runs: the degrees of freedom are those of the smaller sample.
    error = math.sqrt(sd**2 / 4 + 0.16**2 / 5)
    assert comparison.high == pytest.approx(mean - 6.61 + stats.t.ppf(0.975, 3) * error)
    assert comparison.p_for == pytest.approx(
        max(stats.t.sf((0.75 - (mean - 6.61)) / error, 3), stats.t.sf((0.75 + (mean - 6.61)) / error, 3))
    )


def test_seeds_that_all_agree_with_the_published_mean_do_not_show_that_others_would() -> None:
    found = judged("resnet-110-reaches-published", resnet_110([6.6, 6.6, 6.6]))
    assert found.ruling is HELD
    # 1 - 0.05^(1/3) = 63 %. The bound is below 0.75 points where 93.4 (1 - alpha^(1/n)) is, alpha = 0.025: n = 458 and,
    # since the paper's own spread is added, some more.
    assert "up to 63 % of other seeds could differ (n = 3)" in found.reason
    assert found.seeds_needed is not None
    assert 458 <= found.seeds_needed <= 520


@pytest.mark.parametrize(
    ("claim", "depth", "train"),
    [("resnet-110-reaches-published", 110, None), ("resnet-1202-fits-its-training-set", 1202, [40.0, 41.0, 42.0])],
)
def test_one_epoch_of_training_does_not_contradict_a_published_error(
    claim: str, depth: int, train: list[float] | None
) -> None:
    short = cifar("short", [50.0, 51.0, 52.0], train, depth=depth, shortcut="A")
    for trial in short.trials:
        trial.row.update({"recipe.iterations": None, "recipe.epochs": 1})
    found = judged(claim, short)
    assert (found.ruling, found.reason) == (
        NOT_RUN,
        "short and the published network differ in recipe.iterations (none, 64000), recipe.epochs (1, none)",
    )


def test_another_network_is_not_held_against_the_published_mean() -> None:
    assert judged("resnet-110-reaches-published", resnet_110([6.6, 6.7], block="bottleneck")).ruling is NOT_RUN


@pytest.mark.parametrize(
    ("values", "ruling"),
    [
        ([62.0, 70.0, 90.0], HELD),  # it is said of these networks, and of no other
        ([90.0], HELD),
        ([62.0, 70.0, 58.0], CONTRADICTED),
        ([62.0, 70.0, 60.1], INCONCLUSIVE),
        ([62.0, None], INCONCLUSIVE),
    ],
)
def test_every_seed_must_be_clear_of_a_threshold(values: list[float | None], ruling: Ruling) -> None:
    plain = cifar("plain-110", values, depth=110, shortcut="plain", outcome="diverged")
    assert judged("plain-110-fails", plain).ruling is ruling


def test_the_threshold_is_tested_by_the_binomial_test_of_the_worst_seed() -> None:
    found = judged("plain-110-fails", cifar("plain-110", [61.5, 60.9, 64.0], depth=110, shortcut="plain"))
    worst = stats.binomtest(6090, 10_000, 0.6, alternative="greater")
    interval = stats.binomtest(6090, 10_000).proportion_ci(0.95, method="exact")
    comparison = found.comparisons[0]
    assert comparison.p_for == pytest.approx(worst.pvalue)
    assert (comparison.low, comparison.high) == pytest.approx((100 * interval.low - 60, 100 * interval.high - 60))
    below = [stats.binomtest(wrong, 10_000, 0.6, alternative="less").pvalue for wrong in (6150, 6090, 6400)]
    assert comparison.p_against == pytest.approx(min(1.0, 3 * min(below)))


def test_a_claim_about_every_seed_says_of_how_many_others_nothing_is_known() -> None:
    cells = cifar("plain-110", [62.0, 70.0, 90.0], depth=110, shortcut="plain")
    assert judged("plain-110-fails", cells).reason == (
        "said of these 3 networks alone; up to 63 % of other seeds could differ"  # 1 - 0.05^(1/3)
    )


def test_below_a_threshold_the_worst_seed_is_the_highest() -> None:
    cells = cifar("resnet-1202-A", [8.0, 8.0], [0.0, 0.04], depth=1202, shortcut="A")
    comparison = judged("resnet-1202-fits-its-training-set", cells).comparisons[0]
    # 20 of 50,000 training images wrong, against one in a thousand.
    assert comparison.effect == pytest.approx(0.04 - 0.1)
    assert comparison.p_for == pytest.approx(stats.binom.cdf(20, 50_000, 0.001))
    assert comparison.p_against == pytest.approx(min(1.0, 2 * stats.binom.sf(19, 50_000, 0.001)))


def test_without_the_number_of_images_no_seed_can_be_tested() -> None:
    found = judged("plain-110-fails", cifar("plain-110", [90.0], depth=110, shortcut="plain", images=None))
    assert (found.ruling, found.reason) == (INCONCLUSIVE, "the number of images is not recorded")
