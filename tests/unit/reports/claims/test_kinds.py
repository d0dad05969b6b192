"""Each kind of test on cells made by hand, with each outcome."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from scipy import stats

from reports.claims.registry import CLAIMS
from reports.claims.verdicts import Ruling, Verdict, judge_claims
from reports.output.wording import rule, verdict_detail
from reports.stats.cells import Cell
from reports.testing.synthetic_cells import cifar, imagenet
from tests.unit.reports.claims.conftest import judged, line, resnet_110

SUPPORTED, CONTRADICTED, HELD, INCONCLUSIVE, NOT_RUN = Ruling


def residual_beats_plain(plain: Sequence[float], residual: Sequence[float]) -> Verdict:
    return judged(
        "residual-beats-plain",
        cifar("plain-20", [9.0, 9.1, 9.2], depth=20, shortcut="plain"),
        cifar("resnet-20-A", [9.0, 9.1, 9.2], depth=20, shortcut="A"),
        cifar("plain-56", plain, depth=56, shortcut="plain"),
        cifar("resnet-56-A", residual, depth=56, shortcut="A"),
        cifar("resnet-110-A", [6.0, 6.1, 6.2], depth=110, shortcut="A"),
    )


@pytest.mark.parametrize(
    ("plain", "residual", "ruling"),
    [
        ([13.0, 13.4, 12.6], [7.0, 7.1, 6.9], SUPPORTED),
        ([7.0, 7.1, 6.9], [13.0, 13.4, 12.6], CONTRADICTED),
        ([7.0, 8.0, 9.0], [7.0, 8.0, 9.0], INCONCLUSIVE),
        ([7.0], [13.0], INCONCLUSIVE),
        ([], [7.0, 7.1, 6.9], NOT_RUN),
    ],
)
def test_an_ordering_is_decided_at_the_greatest_depth_that_both_have(
    plain: list[float], residual: list[float], ruling: Ruling
) -> None:
    if not plain:
        cells = cifar("resnet-56-A", residual, depth=56, shortcut="A")
        assert judged("residual-beats-plain", cells).ruling is ruling
        return
    found = residual_beats_plain(plain, residual)
    assert [one.label for one in found.comparisons] == ["plain-56 against resnet-56-A"]
    assert found.ruling is ruling


def test_an_orderings_p_value_is_welchs_two_sided() -> None:
    plain, residual = [13.0, 13.9, 12.6], [12.0, 12.1, 11.7]
    found = residual_beats_plain(plain, residual)
    assert found.p_value == pytest.approx(stats.ttest_ind(plain, residual, equal_var=False).pvalue)


def test_two_cells_that_tie_say_how_little_is_known() -> None:
    found = residual_beats_plain([7.0, 8.0, 9.0], [7.0, 8.0, 9.0])
    assert (found.comparisons[0].effect, found.p_value) == (0.0, 1.0)
    assert found.reason == "more seeds like these would not decide it"


def test_a_warm_up_of_the_residual_net_alone_keeps_it_comparable_with_the_plain_one() -> None:
    warm = cifar("resnet-110-A", [6.0, 6.1, 6.2], depth=110, shortcut="A")
    assert warm.settings["recipe.warmup_until_error_pct"] == 80
    plain = cifar("plain-110", [60.0, 62.0, 61.0], depth=110, shortcut="plain")
    assert judged("residual-beats-plain", plain, warm).ruling is SUPPORTED
    slower = cifar("plain-110", [60.0, 62.0, 61.0], depth=110, shortcut="plain")
    slower.trials[0].row["recipe.lr"] = 0.01
    assert judged("residual-beats-plain", slower, warm).ruling is NOT_RUN


def test_depth_beyond_110_takes_no_part_in_what_is_said_up_to_110() -> None:
    cells = [
        cifar("resnet-20-A", [8.7, 8.8, 8.9], depth=20, shortcut="A"),
        cifar("resnet-110-A", [6.5, 6.6, 6.7], depth=110, shortcut="A"),
        cifar("resnet-1202-A", [9.9, 9.8, 9.7], depth=1202, shortcut="A"),
    ]
    found = judged("residual-improves-to-110", *cells)
    assert found.ruling is SUPPORTED
    assert line(found).startswith("residual nets improve to 110 layers: supported, \N{MINUS SIGN}2.20 points")
    assert "depth 20 → 110" in verdict_detail(found)


def options(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> list[Cell]:
    errors = {"A": a, "B": b, "C": c}
    return [imagenet(f"resnet-34-{name}", values, depth=34, shortcut=name) for name, values in errors.items()]


AROUND = [-0.1, 0.0, 0.1, 0.05, -0.05]


def around(mean: float, scale: float = 1.0) -> list[float]:
    return [mean + scale * step for step in AROUND]


@pytest.mark.parametrize(
    ("means", "scale", "little", "in_order"),
    [
        ((25.03, 24.52, 24.19), 1.0, SUPPORTED, SUPPORTED),  # as Table 3
        ((24.19, 24.52, 25.03), 1.0, SUPPORTED, CONTRADICTED),
        ((27.0, 24.5, 24.0), 1.0, CONTRADICTED, SUPPORTED),
        ((25.03, 24.52, 24.19), 20.0, INCONCLUSIVE, INCONCLUSIVE),
        ((25.0, 25.0, 25.0), 1.0, SUPPORTED, INCONCLUSIVE),
    ],
)
def test_options_differ_little_by_two_one_sided_tests_and_their_order_is_another_claim(
    means: tuple[float, float, float], scale: float, little: Ruling, in_order: Ruling
) -> None:
    cells = options(*(around(mean, scale) for mean in means))
    assert judged("options-differ-little", *cells).ruling is little
    assert judged("options-in-order", *cells).ruling is in_order


def test_an_equivalences_p_value_is_that_of_the_larger_of_two_one_sided_tests() -> None:
    a, b, c = around(25.0, 5.0), around(24.4, 6.0), around(24.0, 7.0)
    found = judged("options-differ-little", *options(a, b, c))
    shifted = stats.ttest_ind([value - 1.75 for value in a], c, equal_var=False, alternative="less").pvalue
    assert [one.label for one in found.comparisons][2] == "resnet-34-C against resnet-34-A"
    assert found.comparisons[2].p_for == pytest.approx(shifted)
    assert found.p_value == pytest.approx(2 * shifted)  # A and C are furthest apart


def test_without_option_c_nothing_is_said_of_the_three() -> None:
    cells = options(around(25.0), around(24.5), around(24.2))[:2]
    assert judged("options-differ-little", *cells).ruling is NOT_RUN


def overfit(train_110: Sequence[float], train_1202: Sequence[float], test_1202: Sequence[float]) -> Verdict:
    return judged(
        "resnet-1202-overfits",
        cifar("resnet-110-A", [6.5, 6.6, 6.7], train_110, depth=110, shortcut="A"),
        cifar("resnet-1202-A", test_1202, train_1202, depth=1202, shortcut="A"),
    )


FITS = [0.01, 0.02, 0.03]


@pytest.mark.parametrize(
    ("train_1202", "test_1202", "ruling"),
    [
        (FITS, [7.9, 8.0, 7.8], SUPPORTED),
        (FITS, [5.9, 6.0, 5.8], CONTRADICTED),  # it generalizes better
        ([5.0, 5.2, 5.1], [7.9, 8.0, 7.8], CONTRADICTED),  # it does not fit
        (FITS, [6.5, 7.5, 6.7], INCONCLUSIVE),
    ],
)
def test_overfitting_takes_both_a_training_error_no_worse_and_a_test_error_that_is(
    train_1202: list[float], test_1202: list[float], ruling: Ruling
) -> None:
    assert overfit(FITS, train_1202, test_1202).ruling is ruling


def test_the_claim_is_as_sure_as_the_less_sure_of_its_tests() -> None:
    found = overfit(FITS, [0.01, 0.02, 0.04], [6.9, 7.2, 7.8])
    test = stats.ttest_ind([6.9, 7.2, 7.8], [6.5, 6.6, 6.7], equal_var=False, alternative="greater").pvalue
    fits = [value + 0.1 for value in FITS]
    train = stats.ttest_ind([0.01, 0.02, 0.04], fits, equal_var=False, alternative="less").pvalue
    assert [one.p_for for one in found.comparisons] == pytest.approx([train, test])
    assert found.p_value == pytest.approx(2 * max(train, test))
    assert "final test error, " in line(found) or "final training error, " in line(found)


def preactivation(values: dict[tuple[int, str], Sequence[float]]) -> list[Cell]:
    return [
        cifar(f"{form}-{depth}", errors, depth=depth, shortcut="B", block="bottleneck", activation=form)
        for (depth, form), errors in values.items()
    ]


@pytest.mark.parametrize(("original_1001", "ruling"), [(7.61, SUPPORTED), (4.92, CONTRADICTED), (5.40, INCONCLUSIVE)])
def test_the_gain_of_pre_activation_is_compared_at_both_ends(original_1001: float, ruling: Ruling) -> None:
    cells = preactivation(
        {
            (164, "original"): around(5.93),
            (164, "full_preact"): around(5.46),
            (1001, "original"): around(original_1001),
            (1001, "full_preact"): around(4.92),
        }
    )
    found = judged("preactivation-gains-with-depth", *cells)
    comparison = found.comparisons[0]
    # By hand: (1001's gap) - (164's gap of 0.47). Four equal variances: 4 (n - 1) = 16 degrees of freedom.
    effect = (original_1001 - 4.92) - 0.47
    half = stats.t.ppf(0.975, 16) * math.sqrt(4 * stats.tvar(AROUND) / 5)
    assert comparison.effect == pytest.approx(effect)
    assert (comparison.low, comparison.high) == pytest.approx((effect - half, effect + half))
    assert "n = 5+5+5+5" in line(found)
    assert found.ruling is ruling


def test_pre_activation_must_beat_the_original_in_every_network_that_has_both() -> None:
    values = {
        (164, "original"): around(5.93),
        (164, "full_preact"): around(5.46),
        (1001, "original"): around(4.5),
        (1001, "full_preact"): around(4.92),
    }
    found = judged("preactivation-beats-original", *preactivation(values))
    assert len(found.comparisons) == 2
    assert found.ruling is CONTRADICTED
    assert "original-1001 against full_preact-1001 \N{MINUS SIGN}0.42 points" in line(found)


def test_one_other_shortcut_that_ties_with_the_identity_leaves_the_claim_about_all_open() -> None:
    identity = cifar("resnet-110-A", around(6.61), depth=110, shortcut="A")
    gate = cifar("gate", around(6.63), depth=110, shortcut="shortcut_gate", gate_bias=-6)
    dropout = cifar("dropout", around(40.0), depth=110, shortcut="dropout", dropout_rate=0.5)
    found = judged("identity-beats-other-shortcuts", identity, gate, dropout)
    assert found.ruling is INCONCLUSIVE
    assert "gate against resnet-110-A +0.02 points" in line(found)
    assert judged("identity-beats-other-shortcuts", identity, dropout).ruling is SUPPORTED


@pytest.mark.parametrize(
    ("macs", "ruling"), [(3.8e9, SUPPORTED), (4.089e9, CONTRADICTED), (None, NOT_RUN), (3.2e9, CONTRADICTED)]
)
def test_costs_are_compared_before_anything_has_run(macs: float | None, ruling: Ruling) -> None:
    cells = [
        imagenet("resnet-34-B", [], depth=34, shortcut="B", macs=3.6e9),
        imagenet("resnet-50-B", [], depth=50, shortcut="B", macs=macs),
    ]
    cells = [_with_a_trial(one) for one in cells]
    found = judged("bottleneck-50-costs-as-basic-34", *cells)
    assert (found.ruling, found.p_value) == (ruling, None)


def _with_a_trial(bare: Cell) -> Cell:
    """Add a trial of the plan that has not run yet."""
    depth, shortcut = (50, "B") if "50" in bare.label else (152, "B") if "152" in bare.label else (34, "B")
    planned = imagenet(bare.label, [None], depth=depth, shortcut=shortcut, macs=bare.planned_macs)
    planned.trials[0].row["final/train_error_pct"] = None
    return planned


def test_152_layers_cost_less_than_vgg_19_by_what_the_paper_prints() -> None:
    cells = imagenet("resnet-152-B", [None], depth=152, shortcut="B", macs=11.3e9)
    found = judged("resnet-152-costs-less-than-vgg-19", cells)
    assert found.ruling is SUPPORTED
    # 11.3 / 19.6 - 1 = -42.3 %
    assert line(found).endswith("supported, \N{MINUS SIGN}42.3 % multiply-accumulates")
    assert rule(found).endswith("(counts, which know no chance).")


def test_what_counts_decide_takes_no_share_of_the_chance_of_a_wrong_verdict() -> None:
    names = ("resnet-152-costs-less-than-vgg-19", "resnet-110-reaches-published")
    cells = (imagenet("resnet-152-B", [None], depth=152, shortcut="B", macs=11.3e9), resnet_110([6.2, 6.9, 6.5]))
    _, reached = judge_claims([CLAIMS[name] for name in names], cells)
    assert reached.p_holm == reached.p_value
