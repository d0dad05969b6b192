"""Claims on cells made by hand: each kind of test, each outcome, and the facts behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from scipy import stats

from harness.workload.load import fingerprints, parse_workload
from harness.workload.matrix import expand
from models.published.entries import PUBLISHED
from reports.claims.contrasts import CONTRASTS
from reports.claims.kinds import KINDS
from reports.claims.registry import CLAIMS
from reports.claims.verdicts import Ruling, Verdict, claims_for, judge_claims
from reports.output.wording import line_after_ruling, rule, verdict_detail
from reports.stats.cells import Cell, cells_of_rows
from reports.testing.synthetic_cells import cifar, imagenet

SUPPORTED, CONTRADICTED, HELD, INCONCLUSIVE, NOT_RUN = Ruling
WORKLOADS = Path(__file__).parents[3] / "workloads"


def judged(claim: str, *cells: Cell) -> Verdict:
    [verdict] = judge_claims([CLAIMS[claim]], cells)
    return verdict


def line(verdict: Verdict) -> str:
    return f"{verdict.claim.brief}: {verdict.ruling}{line_after_ruling(verdict)}".replace("\N{NO-BREAK SPACE}", " ")


# --- ordering ---------------------------------------------------------------------------------------------------------


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


# --- equivalence ------------------------------------------------------------------------------------------------------


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


# --- against a published mean -----------------------------------------------------------------------------------------


def resnet_110(values: Sequence[float | None], **settings: str) -> Cell:
    return cifar("resnet-110-A", values, depth=110, shortcut="A", **settings)


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


# --- thresholds on every seed -----------------------------------------------------------------------------------------


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


# --- two tests in one claim -------------------------------------------------------------------------------------------


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


# --- gaps that grow ---------------------------------------------------------------------------------------------------


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


# --- costs ------------------------------------------------------------------------------------------------------------


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


# --- the registry -----------------------------------------------------------------------------------------------------


def test_every_test_of_every_claim_names_a_contrast_and_a_kind_that_exist() -> None:
    for claim in CLAIMS.values():
        assert claim.tests
        assert all(test.contrast in CONTRASTS and test.kind in KINDS for test in claim.tests)


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_figures_behind_a_claim_are_those_that_its_paper_prints(claim: str) -> None:
    paper = CLAIMS[claim].source.split("(")[1].split(")")[0]
    for figure in (figure for test in CLAIMS[claim].tests for figure in test.published):
        entries = [one for one in PUBLISHED if (one.spec.label, one.dataset) == (figure.network, figure.dataset)]
        errors = {
            (one.printed, one.std_pct)
            for entry in entries
            for one in entry.errors
            if _stands(one.source, paper, figure.where)
        }
        gmacs = {
            (f"{one.value / 1e9:g}", None)
            for entry in entries
            for one in entry.counts
            if one.quantity == "macs" and _stands(one.source, paper, figure.where)
        }
        assert (figure.printed, figure.sd) in errors | gmacs
        if figure.sd is not None:
            statistics = {one.statistic for entry in entries for one in entry.errors if one.printed == figure.printed}
            assert f"mean of {figure.runs}" in statistics


def _stands(source: str, paper: str, where: str) -> bool:
    return paper in source and source.endswith(where)


def workload_cells(text: str) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    workload = parse_workload("w.yaml", text)
    trials = expand(workload, fingerprints(workload))
    rows = [{**one.settings(), "cell_id": one.cell_id, "label": one.label, "seed": one.seed} for one in trials]
    return cells_of_rows(rows, ["dataset.name", "model.block"], ()), workload.claims


# Claims that each shipped workload can decide, with the number of comparisons, counted by hand from its tables.
DECIDABLE = {
    "digits": {
        "plain-degrades-with-depth": 1,
        "residual-does-not-degrade": 2,
        "residual-beats-plain": 2,
    },
    "he2015-cifar10": {
        "plain-degrades-with-depth": 1,
        "plain-test-error-grows": 1,
        "plain-110-fails": 1,
        "residual-does-not-degrade": 1,
        "residual-improves-to-110": 1,
        "residual-beats-plain": 1,
        "resnet-1202-overfits": 2,
        "resnet-1202-fits-its-training-set": 1,
        "resnet-110-reaches-published": 1,
    },
    "he2015-imagenet": {
        "plain-degrades-with-depth": 1,
        "plain-test-error-grows": 1,
        "residual-does-not-degrade": 2,
        "residual-improves-on-imagenet": 1,
        "residual-beats-plain": 3,
        "options-differ-little": 3,
        "options-in-order": 2,
        "bottleneck-50-costs-as-basic-34": 1,
        "resnet-152-costs-less-than-vgg-19": 1,
    },
    "he2016-shortcuts": {"identity-beats-other-shortcuts": 15},
    "he2016-activations": {"clean-addition-beats-unclean": 4, "preactivation-beats-original": 2},
    "he2016-depth": {
        "preactivation-beats-original": 6,
        "preactivation-gains-with-depth": 2,
        "preresnet-1001-reaches-published": 1,
        "preresnet-1001-reaches-published-in-batches-of-64": 1,
        "preresnet-1001-reaches-published-on-cifar-100": 1,
    },
}


@pytest.mark.parametrize("name", DECIDABLE)
def test_a_shipped_workload_names_claims_that_its_cells_can_decide(name: str) -> None:
    cells, named = workload_cells((WORKLOADS / f"{name}.yaml").read_text())
    found = {claim: sum(len(CONTRASTS[test.contrast](cells)) for test in CLAIMS[claim].tests) for claim in named}
    assert found == DECIDABLE[name]


def test_every_claim_is_named_by_a_shipped_workload() -> None:
    assert {claim for claims in DECIDABLE.values() for claim in claims} == set(CLAIMS)


def test_a_workload_without_claims_takes_those_that_its_cells_can_decide() -> None:
    cells, _ = workload_cells((WORKLOADS / "he2016-depth.yaml").read_text())
    taken = [claim.id for claim in claims_for(cells, ())]
    assert set(DECIDABLE["he2016-depth"]) <= set(taken)
    assert "plain-110-fails" not in taken
