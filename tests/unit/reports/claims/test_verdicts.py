"""The two claims about depth, on sweeps whose answer was planted."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from harness.tracking.results import SweepResults
from reports.claims.assessment import assess
from reports.claims.registry import CLAIMS
from reports.claims.verdicts import Ruling, Verdict, judge_claims
from reports.output.wording import line_after_ruling
from reports.stats.cells import Cell, Trial
from reports.testing.synthetic import PlantedError, synthetic_sweep

PLAIN, RESIDUAL = "plain-degrades-with-depth", "residual-does-not-degrade"


def verdicts(results: SweepResults) -> dict[str, Verdict]:
    return {verdict.claim.id: verdict for verdict in assess(results).verdicts}


def planted(values: dict[tuple[str, int], Sequence[float]], other: float = 0.0) -> PlantedError:
    """Plant errors by shortcut and depth, one for each seed; all others end at `other`."""
    return lambda shortcut, depth, seed: values.get((shortcut, depth), [other] * 12)[seed]


def sweep(values: dict[tuple[str, int], Sequence[float]], **settings: Any) -> SweepResults:
    return synthetic_sweep(error=planted(values), **settings)


def test_the_effect_that_the_paper_reports_supports_both_claims() -> None:
    found = verdicts(synthetic_sweep())
    assert {name: verdict.ruling for name, verdict in found.items()} == {
        PLAIN: Ruling.SUPPORTED,
        RESIDUAL: Ruling.SUPPORTED,
    }


def test_the_interval_is_welchs_over_the_seeds_of_the_deepest_and_the_shallowest() -> None:
    shallow, deep = [0.3, 0.5, 0.1], [30.0, 41.0, 36.0]
    comparison = verdicts(sweep({("plain", 8): shallow, ("plain", 44): deep}))[PLAIN].comparisons[0]
    expected = stats.ttest_ind(deep, shallow, equal_var=False).confidence_interval(0.95)
    assert comparison.effect == pytest.approx(35.6667 - 0.3, abs=1e-4)
    assert (comparison.low, comparison.high) == pytest.approx((expected.low, expected.high))
    assert (comparison.first.values, comparison.second.values) == (tuple(shallow), tuple(deep))


def test_plain_nets_that_improve_with_depth_contradict_the_claim() -> None:
    found = verdicts(sweep({("plain", 8): [20.0, 21.0, 22.0], ("plain", 44): [5.0, 6.0, 5.5]}))
    assert found[PLAIN].ruling is Ruling.CONTRADICTED


def test_one_residual_shortcut_that_degrades_contradicts_the_claim_about_all() -> None:
    found = verdicts(sweep({("B", 8): [0.0, 0.1, 0.2], ("B", 44): [20.0, 21.0, 19.0]}))
    assert found[RESIDUAL].ruling is Ruling.CONTRADICTED
    assert "B +19.90 points" in line_after_ruling(found[RESIDUAL])


def test_a_degradation_below_the_margin_leaves_the_residual_claim_standing() -> None:
    values = {(shortcut, 8): [0.2, 0.1, 0.15] for shortcut in ("A", "B")}
    values |= {(shortcut, 44): [0.4, 0.5, 0.45] for shortcut in ("A", "B")}
    assert verdicts(sweep(values))[RESIDUAL].ruling is Ruling.SUPPORTED


def test_a_wide_spread_is_inconclusive_and_says_how_many_seeds_would_decide() -> None:
    found = verdicts(sweep({("plain", 8): [5.0, 15.0, 25.0], ("plain", 44): [10.0, 25.0, 40.0]}))[PLAIN]
    assert found.ruling is Ruling.INCONCLUSIVE
    # Means 15 and 25, standard deviations 10 and 15. Two-sided at 0.05 / 2 claims, 80 % power takes a difference of
    # 2.24 + 0.84 = 3.08 standard errors: n = (3.08 / 10)^2 (100 + 225) = 31, and a little more for t.
    assert found.seeds_needed is not None
    assert 31 <= found.seeds_needed <= 34
    assert f"about {found.seeds_needed} seeds" in found.reason


def test_one_seed_is_never_more_than_inconclusive() -> None:
    found = verdicts(synthetic_sweep(seeds=(0,)))
    assert {verdict.ruling for verdict in found.values()} == {Ruling.INCONCLUSIVE}
    assert "one seed says nothing about the next" in found[PLAIN].reason
    assert found[PLAIN].comparisons[0].low is None


def test_seeds_that_all_agree_with_a_claim_hold_it_up_so_far_and_no_further() -> None:
    found = verdicts(sweep({}))
    comparison = found[RESIDUAL].comparisons[0]
    # None of three: at 95 % two-sided, up to 1 - 0.025^(1/3) of the seeds may end anywhere up to 100 %.
    limit = 100 * (1 - 0.025 ** (1 / 3))
    assert comparison.method == "bound for unseen seeds"
    assert (comparison.low, comparison.high) == pytest.approx((-limit, limit))
    assert found[RESIDUAL].ruling is Ruling.HELD
    assert "up to 63 % of other seeds could differ (n = 3)" in found[RESIDUAL].reason
    assert found[PLAIN].ruling is Ruling.INCONCLUSIVE
    assert found[PLAIN].reason.endswith("more seeds like these would not decide it")


def test_a_claim_that_held_so_far_says_with_how_many_seeds_like_these_it_would_be_decided() -> None:
    found = verdicts(sweep({}, claims=(RESIDUAL,)))[RESIDUAL]
    # The limit 100 (1 - 0.025^(1/n)) falls below the margin of 1 point at n = log 0.025 / log 0.99 = 367.04.
    assert found.seeds_needed == 368


def test_one_side_without_spread_is_no_certainty_either() -> None:
    found = verdicts(sweep({("plain", 44): [30.0, 33.0, 36.0]}))[PLAIN]
    assert found.ruling is Ruling.HELD
    assert "all seeds of plain-8 gave one value" in found.reason


def test_no_spread_leaves_no_doubt_where_no_unseen_seed_could_change_the_verdict() -> None:
    values = {("plain", 8): [1.0] * 12, ("plain", 44): [90.0] * 12}
    # Even with 1 - 0.0125^(1/12) = 31 % of the seeds of either at the other end, the means stay 61 - 31 points apart.
    assert verdicts(sweep(values, seeds=range(12)))[PLAIN].ruling is Ruling.SUPPORTED


def test_seeds_without_spread_that_disagree_with_a_claim_are_told_so() -> None:
    found = verdicts(sweep({("B", 44): [20.0, 21.0, 19.0]}))[RESIDUAL]
    assert found.ruling is Ruling.INCONCLUSIVE
    assert "in B, every seed disagrees" in found.reason


@pytest.mark.parametrize("deep", [[0.01, 0.01, 90.0], [5.0, 30.0, 10.0]])
def test_a_claim_that_the_varying_seeds_leave_open_has_not_held(deep: list[float]) -> None:
    # Even with the shallow network known to be at 0: t = 1.00 and 2.00 with two degrees of freedom.
    assert stats.ttest_1samp(deep, 0.0, alternative="greater").pvalue > 0.05
    assert verdicts(sweep({("plain", 44): deep}, claims=(PLAIN,)))[PLAIN].ruling is Ruling.INCONCLUSIVE


def test_what_held_so_far_held_at_the_level_that_all_claims_share() -> None:
    deep = [30.0, 41.0, 36.0]
    p_value = stats.ttest_1samp(deep, 0.0, alternative="greater").pvalue
    assert 0.025 / 20 < p_value < 0.025
    alone = verdicts(sweep({("plain", 44): deep}, claims=(PLAIN,)))
    assert alone[PLAIN].ruling is Ruling.HELD
    claims = (PLAIN, RESIDUAL, "plain-test-error-grows", "residual-beats-plain", "residual-improves-to-110")
    shared = verdicts(sweep({("plain", 44): deep}, claims=claims))
    assert shared[PLAIN].ruling is (Ruling.HELD if p_value < 0.025 / 5 else Ruling.INCONCLUSIVE)


def test_samples_of_different_sizes_have_the_degrees_of_freedom_of_the_smaller() -> None:
    values = {("plain", 8): [1.0, 2.0, 3.0, 2.0, 1.5], ("plain", 44): [6.0, 9.0]}
    outcomes = {("plain", 44, seed): "failed" for seed in (2, 3, 4)}
    padded = values | {("plain", 44): [6.0, 9.0, 0.0, 0.0, 0.0]}
    found = verdicts(sweep(padded, seeds=range(5), outcomes=outcomes, claims=(PLAIN,)))[PLAIN].comparisons[0]
    error = float(np.sqrt(np.var(values["plain", 8], ddof=1) / 5 + np.var(values["plain", 44], ddof=1) / 2))
    assert found.high == pytest.approx(7.5 - 1.9 + stats.t.ppf(0.975, 1) * error)


def test_diverged_trials_count_with_the_error_they_ended_with() -> None:
    outcomes = {("plain", 44, seed): "diverged" for seed in range(3)}
    found = verdicts(sweep({("plain", 44): [90.0, 88.0, 89.0]}, outcomes=outcomes))[PLAIN]
    assert found.ruling is Ruling.SUPPORTED
    assert found.comparisons[0].second.values == (90.0, 88.0, 89.0)
    assert found.comparisons[0].second.diverged == 3


def test_a_diverged_trial_without_an_error_keeps_a_claim_from_being_decided() -> None:
    results = synthetic_sweep(outcomes={("A", 44, 0): "diverged"})
    trials = results.trials.copy()
    trials.loc[trials["outcome"] == "diverged", "final/train_error_pct"] = None
    found = verdicts(dataclasses.replace(results, trials=trials))[RESIDUAL]
    assert found.ruling is Ruling.INCONCLUSIVE
    assert "A: 1 result without an error to count" in found.reason


@pytest.mark.parametrize("outcome", ["failed", "out_of_memory", "timed_out", "missing", "running", "stopped"])
def test_trials_without_a_result_do_not_count(outcome: str) -> None:
    found = verdicts(synthetic_sweep(outcomes={("plain", 44, 0): outcome}))[PLAIN]
    assert found.comparisons[0].second.estimate.n == 2
    assert found.comparisons[0].second.planned == 3


def test_a_claim_without_its_cells_has_not_run() -> None:
    found = verdicts(synthetic_sweep(shortcuts=("A",)))
    assert found[PLAIN].ruling is Ruling.NOT_RUN
    assert found[PLAIN].reason == "needs plain networks of two depths or more"
    assert verdicts(synthetic_sweep(depths=(8,)))[RESIDUAL].ruling is Ruling.NOT_RUN


def test_a_claim_whose_cells_have_no_result_yet_has_not_run() -> None:
    outcomes = {("plain", 44, seed): "missing" for seed in range(3)}
    found = verdicts(synthetic_sweep(outcomes=outcomes))[PLAIN]
    assert found.ruling is Ruling.NOT_RUN
    assert found.reason == "no result yet for plain-44"


def test_a_shortcut_without_results_keeps_the_claim_about_all_shortcuts_open() -> None:
    outcomes = {("B", depth, seed): "missing" for depth in (8, 20, 32, 44) for seed in range(3)}
    found = verdicts(synthetic_sweep(outcomes=outcomes))[RESIDUAL]
    assert found.ruling is Ruling.INCONCLUSIVE
    assert "B: no result yet" in found.reason


def test_holm_makes_a_claim_harder_to_support_beside_another() -> None:
    # Welch's p for these is between 0.025 and 0.05: enough alone, not enough as the smaller of two.
    values = {("plain", 8): [1.0, 2.0, 3.0, 2.0], ("plain", 44): [3.0, 4.5, 5.0, 3.0]}
    p_value = stats.ttest_ind(values["plain", 44], values["plain", 8], equal_var=False).pvalue
    assert 0.025 < p_value < 0.05
    residual = {("A", 8): [0.0, 9.0, 3.0, 4.0], ("A", 44): [2.0, 8.0, 1.0, 6.0]}
    settings: dict[str, Any] = {"seeds": range(4), "shortcuts": ("plain", "A")}
    alone = verdicts(sweep(values | residual, claims=(PLAIN,), **settings))
    together = verdicts(sweep(values | residual, **settings))
    assert alone[PLAIN].ruling is Ruling.SUPPORTED
    assert together[PLAIN].ruling is Ruling.INCONCLUSIVE
    assert together[PLAIN].p_holm == pytest.approx(2 * p_value)


def test_the_trend_along_depth_is_told() -> None:
    values = {("plain", depth): [mean] * 3 for depth, mean in ((8, 1.0), (20, 4.0), (32, 3.0), (44, 9.0))}
    comparison = verdicts(sweep(values))[PLAIN].comparisons[0]
    assert [side.estimate.mean for side in comparison.trend] == [1.0, 4.0, 3.0, 9.0]


def test_a_sweep_that_names_no_claims_has_those_judged_whose_cells_it_has() -> None:
    # Plain, A and B of 8 to 44 layers: nothing of 110 or 1202 layers, of option C, of other shortcuts or activations.
    expected = [PLAIN, "plain-test-error-grows", RESIDUAL, "residual-improves-to-110", "residual-beats-plain"]
    assert list(verdicts(synthetic_sweep(claims=None))) == expected


def test_a_claim_that_a_workload_names_without_its_cells_is_shown_as_not_run() -> None:
    found = verdicts(synthetic_sweep(claims=("resnet-1202-overfits",)))
    assert found["resnet-1202-overfits"].ruling is Ruling.NOT_RUN


def test_a_sweep_that_names_one_claim_has_that_one_judged() -> None:
    assert list(verdicts(synthetic_sweep(claims=(RESIDUAL,)))) == [RESIDUAL]


def test_a_verdict_is_one_line_with_statement_ruling_effect_and_n() -> None:
    found = verdicts(sweep({("plain", 8): [0.0, 1.0, 2.0], ("plain", 44): [40.0, 41.0, 42.0]}))[PLAIN]
    # Difference 40, both standard deviations 1: standard error sqrt(2/3), df 4, t = 2.7764, half-width 2.27.
    line = line_after_ruling(found).replace("\N{NO-BREAK SPACE}", " ")
    assert f"{found.claim.brief}: {found.ruling}{line}" == (
        "plain nets degrade with depth: supported, +40.00 points [37.73, 42.27], n = 3+3"
    )


@pytest.mark.parametrize("axis", ["model.width", "recipe.lr"])
def test_cells_that_differ_in_another_setting_are_never_compared(axis: str) -> None:
    results = synthetic_sweep(shortcuts=("plain",))
    other = results.trials.assign(**{axis: 32, "cell_id": "wide-" + results.trials["cell_id"]})
    both = dataclasses.replace(results, trials=pd.concat([results.trials, other], ignore_index=True))
    labels = [comparison.label for comparison in verdicts(both)[PLAIN].comparisons]
    name = axis.split(".")[1]
    assert labels == sorted(labels)
    assert len(labels) == 2
    assert all(label.startswith(f"plain, {name} ") for label in labels)


def _identity(results: SweepResults) -> SweepResults:
    return results


@pytest.mark.parametrize(
    "order", [_identity, lambda results: dataclasses.replace(results, trials=results.trials[::-1])]
)
def test_the_order_of_trials_changes_no_verdict(order: Callable[[SweepResults], SweepResults]) -> None:
    found = verdicts(order(synthetic_sweep()))
    expected = verdicts(synthetic_sweep())
    assert found[PLAIN].comparisons[0].effect == pytest.approx(expected[PLAIN].comparisons[0].effect)
    assert [v.ruling for v in found.values()] == [v.ruling for v in expected.values()]


def _cell(shortcut: str, depth: int, values: Sequence[float]) -> Cell:
    trials = [
        Trial(trial_id=f"{depth}/{seed}", seed=seed, outcome="finished", row={"final/train_error_pct": value})
        for seed, value in enumerate(values)
    ]
    label = f"{shortcut}-{depth}"
    return Cell(cell_id=label, label=label, depth=depth, shortcut=shortcut, variant="", trials=tuple(trials))


def test_where_depth_changes_nothing_at_most_one_sweep_in_twenty_gets_a_verdict_about_plain_nets() -> None:
    # Unequal spreads, three seeds, 1,000 sweeps: 5 % of them, and three standard errors (0.7 points each) of slack.
    draws = np.random.default_rng(20151210).normal(20, [[2.0], [5.0]], (1000, 2, 3))
    decided = 0
    for shallow, deep in draws.tolist():
        cells = _cell("plain", 8, shallow), _cell("plain", 44, deep)
        decided += judge_claims([CLAIMS[PLAIN]], cells)[0].ruling is not Ruling.INCONCLUSIVE
    assert decided <= 71
