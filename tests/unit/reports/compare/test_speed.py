"""Speeds of two sweeps: the spread that seeds do not explain, the part that a whole sweep shares, and repeats."""

from __future__ import annotations

import dataclasses
import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.cli.main import main
from harness.errors import ExitCode, UsageError
from harness.results.bundle import write_bundle
from harness.tracking.results import SweepResults
from reports.compare.compare import BETWEEN_PCT, Change, Line, SweepComparison, compare
from reports.compare.effects import Effect, estimated, mean_effect, measure_speed, measure_sweeps, with_sweep_variance
from reports.compare.text import as_lines, as_record
from reports.testing.synthetic import synthetic_sweep

SPEED, TEST = "speed/images_per_s", "final/test_error_pct"
FIRST, SECOND = {0: 0.010, 1: 0.030, 2: -0.010}, {0: 0.052, 1: 0.061, 2: 0.070}
"""Logarithms of speeds by seed."""
Z = 1.959964
"""97.5 % quantile of the standard normal."""


@cache
def template(cells: int, seeds: int) -> SweepResults:
    """Make a sweep with only the columns that are compared, since many sweeps are made from it."""
    made = synthetic_sweep(depths=(8, 20, 32, 44)[:cells], shortcuts=("A",), seeds=tuple(range(seeds)))
    settings = [column for column in made.trials if str(column).startswith(("recipe.", "model.", "version."))]
    return dataclasses.replace(made, trials=made.trials.drop(columns=settings), curves=made.curves[:0])


def timed(logs: object, name: str = "sweep") -> SweepResults:
    """Make a sweep with these speeds: a row of logarithms for each cell, a column for each seed. All are ResNets."""
    speeds = np.exp(np.atleast_2d(np.asarray(logs, dtype=float)))
    made = template(*speeds.shape)
    trials = made.trials.assign(**{SPEED: speeds.ravel()}, run_id=[f"{name}-{i}" for i in range(speeds.size)])
    return dataclasses.replace(made, name=name, trials=trials)


def line_of(found: SweepComparison, cell: str, metric: str = SPEED) -> Line:
    [line] = [line for line in found.lines if (line.cell, line.metric) == (cell, metric)]
    return line


def test_speeds_of_the_same_seeds_are_two_samples_as_welch_says() -> None:
    found = measure_speed([FIRST], [SECOND], between=0.0)
    other = stats.ttest_ind(list(SECOND.values()), list(FIRST.values()), equal_var=False)
    assert found.effect is not None
    assert (found.method, found.n) == ("Welch", "3+3")
    assert found.effect.p_value == pytest.approx(other.pvalue)
    assert found.effect.interval == pytest.approx(tuple(other.confidence_interval(0.95)))


def test_an_allowance_between_sweeps_adds_twice_its_square_and_has_no_lack_of_degrees_of_freedom() -> None:
    found = measure_speed([FIRST], [SECOND], between=0.01)
    # By hand: standard deviations 0.02 and 0.009 of three; 0.0004 / 3 and 0.000081 / 3 and twice 0.0001.
    seeds, allowed = 0.0004 / 3 + 0.000081 / 3, 2 * 0.0001
    assert found.effect is not None
    assert found.effect.standard_error == pytest.approx(math.sqrt(seeds + allowed))
    shares = (0.0004 / 3) ** 2 / 2 + (0.000081 / 3) ** 2 / 2
    assert found.effect.df == pytest.approx((seeds + allowed) ** 2 / shares)


def test_an_allowance_is_all_there_is_where_no_seed_differs() -> None:
    found = measure_speed([{0: 0.0, 1: 0.0}], [{0: 0.05, 1: 0.05}], between=0.01)
    assert found.effect is not None
    half = Z * math.sqrt(2) * 0.01
    assert found.effect.interval == pytest.approx((0.05 - half, 0.05 + half), abs=1e-8)


def test_what_a_sweep_shares_does_not_average_out_over_cells() -> None:
    own = Effect(value=0.0, standard_error=0.004, df=4)
    found = mean_effect([with_sweep_variance(own, 0.0002)] * 4)
    # By hand: 0.004 squared over 4 cells, and the shared part as it is.
    assert found.standard_error**2 == pytest.approx(0.000016 / 4 + 0.0002)
    assert found.df == pytest.approx(0.000204**2 / (4 * (0.000016 / 16) ** 2 / 4))


def test_sweeps_with_a_stated_allowance_share_it_over_the_repeats() -> None:
    found = measure_speed([{0: 0.00, 1: 0.02}, {0: 0.01, 1: 0.05}], [{0: 0.03, 1: 0.03}], between=0.01)
    # By hand: a sweep's variance of the mean is that of two seeds over 2; the mean of two sweeps has a quarter of both.
    seeds = (0.0002 / 2 + 0.0008 / 2) / 4
    assert found.effect is not None
    assert found.n == "4+2"
    assert found.effect.value == pytest.approx(0.03 - 0.02)
    assert found.effect.standard_error**2 == pytest.approx(seeds + 0.0001 * (1 / 2 + 1))


def test_sweeps_that_repeat_each_other_are_compared_by_their_means_as_students_t_says() -> None:
    first, second = [0.010, -0.004, 0.003], [0.030, 0.018]
    found = measure_sweeps(first, second)
    other = stats.ttest_ind(second, first, equal_var=True)
    assert found.effect is not None
    assert (found.n, found.effect.df) == ("3+2 sweeps", other.df)
    assert found.effect.p_value == pytest.approx(other.pvalue)
    assert found.effect.interval == pytest.approx(tuple(other.confidence_interval(0.95)))


def test_the_spread_between_repeats_is_pooled_over_both_sides() -> None:
    found = estimated([0.00, 0.02], [0.10, 0.11, 0.12])
    # By hand: squares 0.0002 and 0.0002 around the sides' means, 1 + 2 degrees of freedom.
    assert found.pct == pytest.approx(100 * math.sqrt(0.0004 / 3))
    assert found.df == 3


def test_one_sweep_a_side_shows_no_spread_between_sweeps() -> None:
    assert measure_sweeps([0.0], [0.1]).effect is None
    assert measure_sweeps([], [0.1, 0.2]).effect is None


def draws(count: int, *, between: float, within: float, sweeps: int = 1, slower: float = 0.0) -> list[np.ndarray]:
    """Draw pairs of sides as side, sweep, cell, seed: two cells of three seeds, always the same draws."""
    rng = np.random.default_rng(7)
    levels = between * rng.standard_normal((count, 2, sweeps, 1, 1))
    logs = levels + within * rng.standard_normal((count, 2, sweeps, 2, 3))
    logs[:, 1] += math.log1p(-slower)
    return list(logs)


def regressions(drawn: list[np.ndarray], between_pct: float | None) -> int:
    """Return the number of pairs of sides for which a regression is reported."""
    sides = [[[timed(sweep, f"{i}{j}") for j, sweep in enumerate(side)] for i, side in enumerate(one)] for one in drawn]
    return sum(bool(compare(*side, between_pct=between_pct).regressions) for side in sides)


def test_sweeps_that_differ_as_repeats_do_are_a_regression_in_at_most_one_of_twenty_with_the_allowance() -> None:
    drawn = draws(100, between=0.01, within=0.005)
    most = stats.binom.ppf(0.9999, len(drawn), 0.05)
    assert regressions(drawn, 1.0) <= most
    assert regressions(drawn, 0.0) > most


@pytest.mark.parametrize("sweeps", [2, 3])
def test_sweeps_that_differ_as_their_own_repeats_do_are_a_regression_in_at_most_one_of_twenty(sweeps: int) -> None:
    drawn = draws(60, between=0.01, within=0.005, sweeps=sweeps)
    assert regressions(drawn, None) <= stats.binom.ppf(0.9999, len(drawn), 0.05)


def test_a_slowdown_is_seen_as_often_as_by_welchs_test_and_more_often_than_in_pairs() -> None:
    drawn = [pair[:, :, :1] for pair in draws(120, between=0.0, within=0.01, slower=0.05)]
    level = 0.025 / 3  # one-sided; Holm's first step over the speed and two errors of one cell
    paired = sum(stats.ttest_rel(*pair[:, 0, 0], alternative="greater").pvalue < level for pair in drawn)
    by_welch = [stats.ttest_ind(*pair[:, 0, 0], equal_var=False, alternative="greater").pvalue for pair in drawn]
    assert regressions(drawn, 0.0) == sum(p < level for p in by_welch) > 1.4 * paired


def test_all_cells_together_are_no_surer_than_the_allowance() -> None:
    first = [[0.001, -0.001, 0.0]] * 4
    second = [[0.0, 0.002, -0.002]] * 4
    line = line_of(compare([timed(first)], [timed(second, "b")], between_pct=1.0), "all cells")
    assert line.low is not None
    assert line.high is not None
    half = (math.log1p(line.high / 100) - math.log1p(line.low / 100)) / 2
    own = (1e-6 / 3 + 4e-6 / 3) / 4  # by hand, four cells
    assert half == pytest.approx(Z * math.sqrt(own + 2 * 0.01**2), rel=1e-3)


def test_without_repeats_or_an_allowance_the_default_counts_and_is_printed() -> None:
    found = compare([timed([0.0, 0.01])], [timed([0.02, 0.01], "b")])
    shown = f"allowing {BETWEEN_PCT:g} % between repeats of a whole sweep (standard deviation), --between changes it"
    assert any(shown in line for line in as_lines(found))
    assert as_record(found)["between"] == {"pct": BETWEEN_PCT, "source": "default", "df": None}


def test_several_sweeps_a_side_show_how_much_repeats_differ() -> None:
    before, after = [[0.008, 0.010], [0.001, 0.021]], [[0.05, 0.07], [0.06, 0.10]]
    sides = [[timed(np.array([[0.0], [1.0]]) + logs, f"{name}{i}") for i, logs in enumerate(side)] for name, side in
             (("a", before), ("b", after))]  # fmt: skip
    found = compare(*sides)
    # Means of sweeps 0.009, 0.011 and 0.06, 0.08: squares 0.000002 and 0.0002, two degrees of freedom.
    assert as_record(found)["between"] == {
        "pct": pytest.approx(100 * math.sqrt(0.000101)),
        "source": "estimated",
        "df": 2,
    }
    assert as_record(found)["sweeps"] == [2, 2]
    assert (found.first, found.second) == ("a0,a1", "b0,b1")
    other = stats.ttest_ind([0.06, 0.08], [0.009, 0.011], equal_var=True).confidence_interval(0.95)
    for cell, n in (("resnet-8-A", "2+2 sweeps"), ("resnet-20-A", "2+2 sweeps"), ("all cells", "2 cells, 2+2 sweeps")):
        line = line_of(found, cell)
        assert (line.low, line.high) == pytest.approx((100 * math.expm1(other.low), 100 * math.expm1(other.high)))
        assert line.n == n
    assert any("differ by 1.00 % (standard deviation), as these 2 + 2 sweeps show" in line for line in as_lines(found))


def test_sweeps_of_one_seed_are_tested_where_they_repeat_each_other() -> None:
    sides = [[timed([[level]], f"{name}{level}") for level in levels] for name, levels in
             (("a", (0.0, 0.01)), ("b", (0.2, 0.21)))]  # fmt: skip
    assert line_of(compare(*sides), "resnet-8-A").change is Change.BETTER
    assert line_of(compare([sides[0][0]], [sides[1][0]]), "resnet-8-A").change is Change.UNTESTED


def test_a_cell_that_one_repeat_lacks_is_compared_without_it_and_left_out_of_all_cells() -> None:
    first = [timed([[0.00, 0.01]] * 3, "a0"), timed([[0.02, 0.01]] * 2, "a1")]
    second = [timed([[0.00, 0.03]] * 3, "b0"), timed([[0.02, 0.03]] * 3, "b1")]
    found = compare(first, second)
    assert line_of(found, "resnet-32-A").n == "1+2 sweeps"
    assert line_of(found, "all cells").n == "2 cells, 2+2 sweeps"
    assert (found.only_first, found.only_second) == ((), ())


def test_errors_of_repeated_seeds_are_their_means_and_still_pairs() -> None:
    def erring(name: str, errors: list[float]) -> SweepResults:
        made = timed([[0.0, 0.01]], name)
        return dataclasses.replace(made, trials=made.trials.assign(**{TEST: errors}))

    found = compare([erring("a0", [2.0, 4.0]), erring("a1", [3.0, 4.0])], [erring("b0", [3.0, 5.5])])
    line = line_of(found, "resnet-8-A", TEST)
    assert (line.n, line.method) == ("2 pairs", "paired")
    assert line.difference == pytest.approx((0.5 + 1.5) / 2)


def test_repeats_of_the_same_errors_are_identical_in_spite_of_rounding() -> None:
    sides = [[timed([[0.0, i / 100]], f"{name}{i}") for i in range(count)] for name, count in (("a", 3), ("b", 2))]
    for side in sides:
        for sweep in side:
            sweep.trials[TEST] = [100 / 3, 100 / 7]
    assert line_of(compare(*sides), "resnet-8-A", TEST).change is Change.SAME


def test_a_sweep_that_shares_results_with_another_is_no_repeat_of_it() -> None:
    one = timed([[0.0, 0.01]], "one")
    copy = dataclasses.replace(timed([[0.0, 0.05]], "copy"))
    copy.trials["run_id"] = [one.trials["run_id"][0], "its own"]
    with pytest.raises(UsageError, match=r"one and copy share results \(1 of 2\).*--fresh"):
        compare([one, copy], [timed([[0.0, 0.02]], "other")])


def test_repeats_on_other_hardware_are_refused() -> None:
    other = timed([[0.0, 0.05]], "other")
    other.trials["device.name"] = "another"
    with pytest.raises(UsageError, match=r"device\.name .*another"):
        compare([timed([[0.0, 0.01]], "one"), other], [timed([[0.0, 0.02]], "three")])


@pytest.fixture
def repeats(tmp_path: Path) -> list[str]:
    """Write two sweeps, and two that are 20 % slower, and return their folders."""
    folders = [str(tmp_path / name) for name in ("a1", "a2", "b1", "b2")]
    for folder, level in zip(folders, (0.0, 0.001, math.log(0.8), math.log(0.8) - 0.001), strict=True):
        write_bundle(timed([[level, level + 0.001]], Path(folder).name), Path(folder))
    return folders


def test_the_command_takes_several_sweeps_with_commas_between(
    repeats: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", ",".join(repeats[:2]), ", ".join(repeats[2:]), "--json"]) == ExitCode.FAILED
    record = json.loads(capsys.readouterr().out)
    assert (record["first"], record["sweeps"], record["between"]["source"]) == ("a1,a2", [2, 2], "estimated")
    assert [line["n"] for line in record["lines"] if line["metric"] == SPEED] == ["2+2 sweeps"]


def test_an_allowance_can_be_stated_for_repeats_too(repeats: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", ",".join(repeats[:2]), repeats[2], "--between", "30%"]) == ExitCode.OK
    assert "allowing 30 % between repeats of a whole sweep (standard deviation), as --between says" in (
        capsys.readouterr().out
    )


def test_a_bundle_may_have_a_comma_in_its_name(
    repeats: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(repeats[0]).rename(tmp_path / "a1,old")
    assert main(["compare", str(folder), repeats[1], "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["sweeps"] == [1, 1]


@pytest.mark.parametrize("places", ["{0},", ",{0}", "{0},,{1}", ","])
def test_a_side_that_lacks_a_name_is_told_so(
    places: str, repeats: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    side = places.format(*repeats)
    assert main(["compare", side, repeats[2]]) == ExitCode.USAGE
    assert f"'{side}' lacks a name" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["1", "-1%", "101%", "abc", "", "%", "1e1%", "nan%", "1%%"])
def test_an_allowance_that_is_no_percentage_is_told_so(
    text: str, repeats: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", repeats[0], repeats[1], "--between", text]) == ExitCode.USAGE
    shown = capsys.readouterr().err
    assert f"--between is '{text}'; give a percentage from 0% to 100%" in shown
    assert shown.count("\n") == 1
