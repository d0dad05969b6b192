"""One assessment for each report: cells are grouped once and verdicts are reached once."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.results import report
from harness.tracking import results as stored
from reports.claims import verdicts
from reports.claims.assessment import assess
from reports.stats import cells
from reports.testing.synthetic import synthetic_sweep


def counted(calls: Counter[str], name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        calls[name] += 1
        return function(*args, **named)

    return call


def test_a_report_with_its_summary_and_its_note_in_mlflow_measures_each_comparison_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    calls: Counter[str] = Counter()
    sweep = synthetic_sweep()
    comparisons = sum(len(verdict.comparisons) for verdict in assess(sweep).verdicts)
    monkeypatch.setattr(report, "stored_sweep", lambda *_: sweep)
    monkeypatch.setattr(stored, "log_report", lambda *args: notes.append(args[-1]))
    for module, name in ((verdicts, "compare"), (cells, "cells_of_rows")):
        monkeypatch.setattr(module, name, counted(calls, name, getattr(module, name)))
    shown = Console(file=io.StringIO())
    report.make_report(None, tmp_path, "sqlite:///unused.db", log=True, show=shown)
    assert "**supported**" in notes[0]
    assert calls == {"compare": comparisons, "cells_of_rows": 1}
    assert comparisons == 3  # plain networks, and the residual ones with shortcuts A and B


def test_cells_are_sorted_as_in_the_papers_and_trials_follow_them() -> None:
    found = assess(synthetic_sweep(depths=(44, 8), shortcuts=("A", "plain"), seeds=(0, 1)))
    assert [cell.label for cell in found.cells] == ["plain-8", "plain-44", "resnet-8-A", "resnet-44-A"]
    assert [(trial.row["label"], trial.seed) for trial in found.trials[:3]] == [
        ("plain-8", 0),
        ("plain-8", 1),
        ("plain-44", 0),
    ]
    assert [one.name for one in found.series] == ["plain", "A"]
    assert found.trained
