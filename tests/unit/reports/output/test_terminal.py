"""The summary on the terminal."""

from __future__ import annotations

import io

from rich.console import Console

from reports.claims.assessment import assess
from reports.output.terminal import print_summary
from reports.testing.synthetic import synthetic_sweep


def summary(width: int = 80, **settings: object) -> str:
    results = synthetic_sweep(**settings)  # type: ignore[arg-type]
    written = io.StringIO()
    print_summary(assess(results), Console(file=written, width=width))
    return written.getvalue()


def test_errors_by_depth_and_shortcut_fit_80_columns() -> None:
    lines = summary().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("plain" in line and "44" in line and "37.10 [31.30, 42.90]" in line for line in lines)


def test_each_verdict_is_one_line_of_80_columns_and_how_sure_it_is_comes_once_for_each_kind() -> None:
    lines = [line.rstrip() for line in summary().splitlines()]
    first = lines.index("plain nets degrade with depth: supported, +36.72 points [30.96, 42.47], n = 3+3")
    assert lines[first + 1] == (
        "residual nets do not degrade: supported, B +0.05 points [\N{MINUS SIGN}0.10, 0.19], n = 3+3"
    )
    # The figures of docs/statistics.md for three seeds, rounded up, and 1 - 0.05^(1/3).
    assert " ".join(lines[first + 2 :]) == (
        "With 3 seeds and two means, a verdict is wrong in at most 7 % of sweeps where errors are normal over seeds, "
        "13 % where exponential, 18 % where lognormal. Up to 63 % of other seeds may be of a kind that none of these "
        "showed. With 3 seeds and up to 3 comparisons, a verdict is wrong in at most 5 % of sweeps where errors are "
        "normal over seeds, 18 % where exponential, 25 % where lognormal. Up to 63 % of other seeds may be of a kind "
        "that none of these showed."
    )


def test_nothing_but_text_is_written_where_there_is_no_terminal() -> None:
    assert "\x1b" not in summary()


def test_a_name_that_looks_like_markup_is_printed_as_it_is() -> None:
    assert "[bold]x[/]" in summary(shortcuts=("[bold]x[/]",))


def test_a_terminal_that_knows_ascii_alone_gets_ascii() -> None:
    results = synthetic_sweep(outcomes={("plain", 44, seed): "missing" for seed in range(3)})
    written = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    print_summary(assess(results), Console(file=written, width=80))
    written.flush()


def test_seeds_without_a_result_are_counted() -> None:
    assert "1 of 3" in summary(outcomes={("plain", 44, 0): "failed", ("plain", 44, 1): "running"})


def test_a_sweep_without_results_prints_dashes() -> None:
    outcomes = {(shortcut, 8, 0): "missing" for shortcut in ("plain", "A")}
    found = summary(depths=(8,), shortcuts=("plain", "A"), seeds=(0,), outcomes=outcomes)
    assert "0 of 1" in found
    assert "—" in found
    assert "not run" in found
