"""Deviations of a sweep from the published training, and the times at which it reached given errors."""

from __future__ import annotations

import dataclasses

from harness.schema import time_to_error
from harness.tracking.results import SweepResults
from reports.claims.assessment import assess
from reports.output.render import report_files
from reports.stats.cells import cells_of, ordered
from reports.tables.published_training import deviations_table, milestones_table, published_errors_table
from reports.testing.synthetic import synthetic_sweep

SOURCE = "He 2015 (arXiv 1512.03385), section 4.2"


def ledger(label: str, *deviations: dict[str, str | None], source: str | None = SOURCE) -> dict[str, object]:
    return {"cell_id": f"cell-{label}", "label": label, "source": source, "deviations": list(deviations)}


def rows(results: SweepResults, *ledgers: dict[str, object]) -> tuple[tuple[str, ...], ...]:
    return deviations_table(cells_of(results), {"deviations": ledgers}).rows


SMALL = synthetic_sweep(depths=(20, 32), shortcuts=("A",))
LR = {"name": "recipe.lr", "published": "0.1", "used": "0.2"}


def test_a_deviation_stands_once_with_both_values_and_the_cells_that_have_it() -> None:
    both = rows(SMALL, ledger("resnet-20-A", LR), ledger("resnet-32-A", LR))
    one = rows(SMALL, ledger("resnet-20-A"), ledger("resnet-32-A", LR))
    assert both == (("recipe.lr", "0.1", "0.2", SOURCE, "all"),)
    assert one == (("recipe.lr", "0.1", "0.2", SOURCE, "resnet-32-A"),)


def test_what_a_paper_does_not_print_says_so() -> None:
    unprinted = {"name": "recipe.plateau_epochs", "published": None, "used": "5"}
    assert rows(SMALL, ledger("resnet-20-A", unprinted))[0][1:3] == ("not printed", "5")


def test_a_sweep_without_deviations_says_none_and_one_without_a_published_training_says_nothing() -> None:
    assert rows(SMALL, ledger("resnet-20-A"), ledger("resnet-32-A")) == (("none", "—", "—", SOURCE, "all"),)
    assert rows(SMALL, ledger("resnet-20-A", source=None)) == ()
    assert rows(SMALL) == ()


def test_cells_that_no_paper_trained_are_named_below() -> None:
    table = deviations_table(cells_of(SMALL), {"deviations": [ledger("vgg16", source=None), ledger("resnet-20-A", LR)]})
    assert table.note == "No published training to compare with: vgg16."


def timed(times: dict[int, list[float | None]]) -> SweepResults:
    """Return a sweep of three seeds of one cell with their times to some errors."""
    results = synthetic_sweep(depths=(20,), shortcuts=("A",))
    trials = results.trials[[name for name in results.trials if not name.startswith("time_to_error/")]].copy()
    for pct, values in times.items():
        trials[time_to_error(pct, evaluation=False)] = values
    return dataclasses.replace(results, trials=trials)


def test_a_time_is_the_mean_over_seeds_and_a_threshold_that_some_never_reached_is_censored_not_dropped() -> None:
    table = milestones_table(cells_of(timed({50: [10.0, 20.0, 30.0], 20: [50.0, None, 70.0], 10: [None] * 3})))
    assert [column.title for column in table.columns] == ["Cell", "50 %", "20 %"]
    assert table.rows == (("resnet-20-A", "20.0 s", "2 of 3"),)


def test_a_sweep_that_was_not_timed_to_any_error_has_no_such_table() -> None:
    results = timed({})
    assert milestones_table(cells_of(results)).rows == ()
    assert "test error, mean over seeds" not in report_files(assess(results))["report.md"]


def test_both_tables_are_on_the_page_and_in_the_markdown() -> None:
    results = synthetic_sweep()
    files = report_files(assess(results))
    assert 'id="deviations"' in files["index.html"]
    assert 'id="milestones"' in files["index.html"]
    assert "**How training differs from the paper**" in files["report.md"]
    first = ordered(cells_of(results))[0].label
    assert f"No published training to compare with: {first}" in files["report.md"]


def test_each_printed_error_stands_beside_ours_with_its_n_and_how_it_was_found() -> None:
    results = synthetic_sweep(depths=(20,), shortcuts=("A",), seeds=(0, 1), error=lambda *_: 0.0)
    printed = {
        "metric": "test_error_pct",
        "printed": "8.75",
        "statistic": "single run",
        "protocol": "single view",
        "source": "He et al. 2015, Table 6",
    }
    [row] = published_errors_table(
        cells_of(results), {"audit": [{"cell_id": "cell-resnet-20-A", "published_errors": [printed]}]}
    ).rows
    assert (row[0], row[1], row[3]) == ("resnet-20-A", "test", "2")
    assert row[4:] == ("8.75", "single run", "single view", "He et al. 2015, Table 6")
    assert published_errors_table(cells_of(results), {}).rows == ()
