"""Comparison of two sweeps: the statistics by hand, the refusals, and the result for planted changes."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.cli.main import main
from harness.errors import ExitCode, UsageError
from harness.results.bundle import write_bundle
from harness.tracking.results import SweepResults
from reports.compare.compare import Change, Line, SweepComparison, compare, decided
from reports.compare.effects import Effect, mean_effect, measure
from reports.compare.text import ACROSS, as_lines, as_record
from reports.testing.synthetic import jitter, synthetic_sweep

SPEED, TEST, TRAIN = "speed/images_per_s", "final/test_error_pct", "final/train_error_pct"


def sweep(name: str = "before") -> SweepResults:
    """Return a sweep in which the speeds of a cell's seeds differ by at most 0.6 %."""
    made = synthetic_sweep(name=name, depths=(8, 20), shortcuts=("plain", "A"), seeds=(0, 1, 2, 3))
    places = zip(made.trials["label"], made.trials["seed"], strict=True)
    speeds = [2_000 * (1 + 0.003 * jitter("speed", label, seed)) for label, seed in places]
    return dataclasses.replace(made, trials=made.trials.assign(**{SPEED: speeds}))


def held(first: SweepResults, second: SweepResults, **options: float) -> SweepComparison:
    """Compare two sweeps, with no allowance for the speeds of whole sweeps unless one is given."""
    return compare([first], [second], **{"between_pct": 0.0, **options})


def slower(results: SweepResults, share: float, *, spread: float = 0.003) -> SweepResults:
    """Return the same sweep with its speeds lowered by a share, which varies a little from trial to trial."""
    seeds = zip(results.trials["label"], results.trials["seed"], strict=True)
    factors = [(1 - share) * (1 + spread * jitter("slower", label, seed)) for label, seed in seeds]
    trials = results.trials.assign(**{SPEED: results.trials[SPEED] * factors})
    return dataclasses.replace(results, trials=trials, name="after")


def with_column(results: SweepResults, **columns: object) -> SweepResults:
    return dataclasses.replace(results, trials=results.trials.assign(**columns), name="after")


def line_of(found: SweepComparison, cell: str, metric: str) -> Line:
    [line] = [line for line in found.lines if (line.cell, line.metric) == (cell, metric)]
    return line


def test_the_same_seeds_are_compared_in_pairs_as_students_t_says() -> None:
    first, second = {0: 1.0, 1: 2.0, 2: 3.0}, {2: 3.3, 0: 1.5, 1: 2.7}
    found = measure(first, second)
    # Differences 0.5, 0.7, 0.3: mean 0.5, standard deviation 0.2; t(0.975, 2) = 4.302653.
    half = 4.302653 * 0.2 / math.sqrt(3)
    assert found.effect is not None
    assert (found.method, found.n) == ("paired", "3 pairs")
    assert found.effect.value == pytest.approx(0.5)
    assert found.effect.interval == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)
    assert found.effect.p_value == pytest.approx(stats.ttest_rel([1.5, 2.7, 3.3], [1.0, 2.0, 3.0]).pvalue)


def test_other_seeds_are_compared_as_two_samples_as_welch_says() -> None:
    first, second = {0: 5.0, 1: 6.0, 2: 5.5}, {3: 7.0, 4: 7.8, 5: 6.1, 6: 7.2}
    found = measure(first, second)
    other = stats.ttest_ind(list(second.values()), list(first.values()), equal_var=False)
    assert found.effect is not None
    assert (found.method, found.n) == ("Welch", "3+4")
    assert found.effect.p_value == pytest.approx(other.pvalue)
    assert found.effect.interval == pytest.approx(tuple(other.confidence_interval(0.95)))


def test_the_smallest_effect_to_be_seen_is_that_of_rs_power_t_test() -> None:
    # R: power.t.test(n = 20, delta = 1, sd = 1) gives power = 0.8689528, two-sample, df = 38.
    effect = Effect(value=0.0, standard_error=math.sqrt(2 / 20), df=38)
    assert effect.visible(alpha=0.05, power=0.8689528) == pytest.approx(1.0, abs=1e-6)


def test_pairs_that_do_not_differ_at_all_are_the_same_and_have_no_smallest_effect() -> None:
    found = measure({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0})
    assert found.same
    assert found.effect is not None
    assert found.effect.p_value == 1.0
    assert found.effect.visible() is None


def test_equal_pairs_of_which_some_are_gone_are_not_the_same() -> None:
    assert not measure({0: 1.0, 1: 2.0, 2: 3.0}, {0: 1.0, 1: 2.0}).same


def test_errors_without_any_spread_have_the_uncertainty_of_one_networks_count() -> None:
    found = measure({0: 1.0, 1: 1.0}, {2: 3.0, 3: 3.0}, images=(100, 100))
    assert (found.method, found.n) == ("exact counts", "2+2")
    assert found.effect is not None
    # Clopper-Pearson, 95 %: 1 of 100 is 0.025 to 5.446 %, 3 of 100 is 0.623 to 8.518 %; joined after Newcombe.
    above = math.hypot(8.518 - 3, 1 - 0.025)
    assert found.effect.interval == pytest.approx((2 - above, 2 + above), abs=2e-3)


def test_errors_without_any_spread_are_counts_of_each_sides_own_images() -> None:
    found = measure({0: 1.0, 1: 1.0}, {2: 3.0, 3: 3.0}, images=(100, 1_000))
    assert found.effect is not None
    # Clopper-Pearson, 95 %: 1 of 100 is 0.025 to 5.446 %, 30 of 1,000 is 2.033 to 4.255 %. The wider half is below.
    below = math.hypot(5.446 - 1, 3 - 2.033)
    assert found.effect.interval == pytest.approx((2 - below, 2 + below), abs=2e-3)


def test_errors_without_any_spread_or_count_of_images_are_not_tested() -> None:
    assert measure({0: 1.0, 1: 1.0}, {2: 3.0, 3: 3.0}).effect is None


def test_cells_in_which_no_seed_varies_speak_of_these_networks_alone_and_say_so() -> None:
    before, after = sweep(), sweep("after")
    for made, error in ((before, 1.0), (after, 30.0)):
        made.trials.loc[made.trials["label"] == "plain-8", TEST] = error
    found = held(before, after)
    assert line_of(found, "plain-8", TEST).note == (
        "the same runs; no seed varies, so this speaks of these networks alone"
    )
    assert line_of(found, "all cells", TEST).note.startswith("in 1 of 4 cells no seed varies")
    assert line_of(found, "plain-20", TEST).note == "the same runs"


def test_one_value_a_side_is_not_tested() -> None:
    assert measure({0: 1.0}, {0: 50.0}).effect is None
    assert measure({}, {0: 1.0, 1: 2.0}).effect is None


def test_cells_together_have_the_mean_of_their_effects_and_the_error_of_a_mean() -> None:
    both = mean_effect([Effect(value=1.0, standard_error=0.3, df=4), Effect(value=3.0, standard_error=0.4, df=4)])
    assert both.value == 2.0
    assert both.standard_error == pytest.approx(0.25)  # the root of 0.09 + 0.16, over 2
    assert both.df == pytest.approx((0.09 + 0.16) ** 2 / (0.09**2 / 4 + 0.16**2 / 4))


def test_a_sweep_against_itself_is_identical_in_every_line() -> None:
    found = held(sweep(), sweep("again"))
    assert {line.change for line in found.lines} == {Change.SAME}
    assert found.regressions == ()


def test_a_planted_slowdown_of_five_per_cent_is_found_in_every_cell_and_measured() -> None:
    found = held(sweep(), slower(sweep(), 0.05))
    for cell in ("plain-8", "plain-20", "resnet-8-A", "resnet-20-A", "all cells"):
        line = line_of(found, cell, SPEED)
        assert line.change is Change.REGRESSION
        assert line.difference == pytest.approx(-5.0, abs=0.4)
        assert line.low is not None
        assert line.high is not None
        assert line.low < -5 < line.high
        assert line_of(found, cell, TEST).change is Change.SAME


@pytest.mark.parametrize(
    ("margin", "change"), [(0, Change.REGRESSION), (3, Change.REGRESSION), (5, Change.WORSE), (10, Change.WORSE)]
)
def test_a_slowdown_counts_as_a_regression_only_beyond_the_margin(margin: float, change: Change) -> None:
    assert line_of(held(sweep(), slower(sweep(), 0.05), margin=margin), "plain-8", SPEED).change is change


def test_what_got_faster_is_better_and_no_regression() -> None:
    found = held(slower(sweep(), 0.05), sweep("after"))
    assert line_of(found, "all cells", SPEED).change is Change.BETTER
    assert found.regressions == ()


def test_noise_alone_is_no_difference_and_says_what_would_have_been_seen() -> None:
    line = line_of(held(sweep(), slower(sweep(), 0.0, spread=0.02)), "plain-8", SPEED)
    assert line.change is Change.NOTHING
    assert line.visible is not None
    assert line.visible > 0
    assert line.low is not None
    assert line.high is not None
    assert line.low < 0 < line.high


def test_an_error_that_rose_in_every_seed_is_a_regression_in_points() -> None:
    before = sweep()
    after = with_column(before, **{TEST: before.trials[TEST] + 2 + 0.05 * before.trials["seed"]})
    line = line_of(held(before, after, margin=1.5), "resnet-20-A", TEST)
    assert (line.change, line.unit) == (Change.REGRESSION, "points")
    assert line.difference == pytest.approx(2.075)  # 2 + 0.05 times the seeds' mean, 1.5


@pytest.mark.parametrize("column", ["device.name", "version.torch"])
def test_other_hardware_or_software_is_refused_and_named(column: str) -> None:
    with pytest.raises(UsageError, match=rf"{column} .*another.*--across-hardware"):
        held(sweep(), with_column(sweep(), **{column: "another"}))


def test_across_hardware_every_line_says_so() -> None:
    found = held(sweep(), with_column(sweep(), **{"device.name": "another"}), across=True)
    shown = [line for line in as_lines(found) if line.startswith("  ")]
    assert len(shown) == len(found.lines) > 10
    assert all(line.endswith(f"[{ACROSS}]") for line in shown)
    assert all(line["across"] for line in as_record(found)["lines"])


def test_cells_of_other_ids_are_matched_by_label_and_the_rest_is_named() -> None:
    before, after = sweep(), sweep("after")
    renamed = with_column(after, cell_id="new-" + after.trials["cell_id"])
    few = dataclasses.replace(renamed, trials=renamed.trials[renamed.trials["label"] != "plain-20"])
    found = held(before, few)
    assert (found.only_first, found.only_second) == (("plain-20",), ())
    assert line_of(found, "plain-8", SPEED).change is Change.SAME
    assert "Only in A: plain-20" in as_lines(found)


def test_cells_of_one_name_that_were_trained_differently_say_how() -> None:
    before = with_column(sweep(), **{"recipe.channels_last": "True", "recipe.epochs": "12", "recipe.lr": "0.1"})
    after = with_column(
        sweep(),
        **{"recipe.channels_last": "False", "recipe.epochs": "4", "recipe.lr": "0.1"},
        cell_id="new-" + sweep().trials["cell_id"],
    )
    found = held(before, after)
    assert found.settings == ("recipe.channels_last True / False", "recipe.epochs 12 / 4")
    assert any(
        line.endswith("of code or machine: recipe.channels_last True / False; recipe.epochs 12 / 4")
        for line in as_lines(found)
    )
    assert held(before, before).settings == ()


def test_what_two_wild_pairs_could_have_shown_is_nothing_and_not_a_number_beyond_all_errors() -> None:
    wild = Effect(value=40.0, standard_error=30.0, df=1)
    [line] = decided([(a_line(TEST), wild)], 0.0)
    assert line.visible == math.inf
    fast = Effect(value=0.1, standard_error=20.0, df=1)
    [line] = decided([(a_line(SPEED), fast)], 0.0)
    assert line.visible == math.inf


def test_the_means_beside_a_difference_of_pairs_are_those_of_the_pairs() -> None:
    before = sweep()
    after = with_column(before, **{TEST: before.trials[TEST] + before.trials["seed"] / 10 + 1})
    few = dataclasses.replace(after, trials=after.trials[after.trials["seed"] < 2])
    line = line_of(held(before, few), "plain-8", TEST)
    assert line.n == "2 pairs"
    assert line.first is not None
    assert line.second is not None
    assert line.second - line.first == pytest.approx(line.difference)


def test_sweeps_without_a_cell_in_common_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no cell in common: one has plain-8, .* the other resnet-44-B"):
        held(sweep(), synthetic_sweep(depths=(44,), shortcuts=("B",)))


def without_results(results: SweepResults, seeds: set[int]) -> SweepResults:
    """Return the same sweep with the trials of some seeds failed."""
    gone = results.trials["seed"].isin(seeds)
    columns = {"outcome": results.trials["outcome"].mask(gone, "failed")}
    columns |= {key: results.trials[key].mask(gone) for key in (TEST, TRAIN, SPEED)}
    return with_column(results, **columns)


def test_where_the_second_failed_altogether_each_cell_says_so() -> None:
    found = held(sweep(), without_results(sweep(), {0, 1, 2, 3}))
    assert {line.change for line in found.lines} == {Change.LOST}
    assert len(found.lost) == 4 * 3  # cells times quantities
    line = line_of(found, "plain-8", TEST)
    assert (line.n, line.note, line.second) == ("4+0", "B lacks seeds 0, 1, 2, 3", None)
    assert as_record(found)["lost"] == 12
    assert as_lines(found)[-1].endswith("B has no value left in 12 lines where A has some.")


def test_seeds_that_the_second_lost_are_named_and_the_rest_is_not_called_identical() -> None:
    found = held(sweep(), without_results(sweep(), {2}))
    line = line_of(found, "resnet-20-A", TEST)
    assert (line.change, line.n, line.note) == (Change.NOTHING, "3 pairs", "B lacks seed 2")
    assert found.lost == ()
    assert {line.change for line in found.lines} == {Change.NOTHING}


def test_seeds_of_its_own_are_nothing_that_the_second_lacks() -> None:
    other = sweep()
    found = held(sweep(), with_column(other, seed=other.trials["seed"] + 10))
    assert {line.note for line in found.lines if line.cell != "all cells"} == {"the same runs"}


def a_line(metric: str) -> Line:
    """Return a line that is not yet decided."""
    return Line(
        cell="x",
        metric=metric,
        first=0.0,
        second=0.0,
        difference=0.0,
        low=None,
        high=None,
        visible=None,
        p_holm=None,
        change=Change.UNTESTED,
        method="",
        n="",
    )


def lines_of(*drawn: Effect, margin: float = 0.0) -> list[Line]:
    """Return decided lines, with one test error for each effect."""
    return decided([(a_line(TEST), effect) for effect in drawn], margin)


def found_any(lines: list[Line]) -> bool:
    return any(line.change in (Change.BETTER, Change.WORSE, Change.REGRESSION) for line in lines)


def test_one_line_without_any_difference_gives_a_change_once_in_twenty() -> None:
    # Student's t with 4 degrees of freedom at 400 probabilities of equal distance: the test's own level, exactly.
    drawn = [Effect(value=float(stats.t.ppf((i + 0.5) / 400, 4)), standard_error=1.0, df=4) for i in range(400)]
    assert sum(found_any(lines_of(effect)) for effect in drawn) == 20
    for effect in drawn:
        [line] = lines_of(effect)
        assert line.change is not Change.REGRESSION or effect.interval[0] > 0


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_several_lines_without_any_difference_give_any_change_about_once_in_twenty(margin: float) -> None:
    draw, sweeps = np.random.default_rng(1), 1_000
    values = draw.standard_t(4, size=(sweeps, 4))
    any_found = sum(
        found_any(lines_of(*(Effect(value=value, standard_error=1.0, df=4) for value in row), margin=margin))
        for row in values.tolist()
    )
    assert any_found / sweeps < 0.05 + 2 * math.sqrt(0.05 * 0.95 / sweeps)


@pytest.fixture
def bundles(tmp_path: Path) -> tuple[str, str]:
    write_bundle(sweep(), tmp_path / "a")
    write_bundle(slower(sweep(), 0.05), tmp_path / "b")
    return str(tmp_path / "a"), str(tmp_path / "b")


def test_the_command_answers_with_its_exit_code_for_ci(
    bundles: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *bundles, "--between", "0%", "--json"]) == ExitCode.FAILED
    record = json.loads(capsys.readouterr().out)
    assert record["regressions"] == 5
    assert {line["finding"] for line in record["lines"] if line["metric"] == SPEED} == {"worse beyond the margin"}
    assert main(["compare", *bundles, "--between", "0%", "--margin", "8"]) == ExitCode.OK
    assert "No regression beyond the margin of 8 points" in capsys.readouterr().out
    assert main(["compare", bundles[0], bundles[0]]) == ExitCode.OK


def test_where_nothing_could_be_tested_nothing_is_said_of_regressions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(synthetic_sweep(name="one", depths=(8,), shortcuts=("A",), seeds=(0,)), tmp_path / "a")
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "a")]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "Nothing could be tested, so nothing is known of a regression. More seeds a side would tell." in out
    assert "No regression" not in out


def test_a_folder_without_a_bundle_is_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bundle(sweep(), tmp_path / "a")
    (tmp_path / "empty").mkdir()
    store = f"sqlite:///{tmp_path}/mlflow.db"
    assert main(["compare", str(tmp_path / "a"), str(tmp_path / "empty"), "--tracking-uri", store]) == ExitCode.USAGE
    assert f"{tmp_path}/empty is no bundle" in capsys.readouterr().err


def test_the_command_fails_where_the_second_has_no_value_left(
    bundles: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_bundle(without_results(sweep(), {0, 1, 2, 3}), tmp_path / "crashed")
    assert main(["compare", bundles[0], str(tmp_path / "crashed")]) == ExitCode.FAILED
    assert "no value left" in capsys.readouterr().out
