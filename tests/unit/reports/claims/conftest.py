"""Cells and verdicts that several tests of claims share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from harness.workload.load import fingerprints, parse_workload
from harness.workload.matrix import expand
from reports.claims.contrasts import Pair
from reports.claims.registry import CLAIMS
from reports.claims.verdicts import Verdict, judge_claims, pairs_for
from reports.output.wording import line_after_ruling
from reports.stats.cells import Cell, cells_of_rows
from reports.testing.synthetic_cells import cifar

WORKLOADS = Path(__file__).parents[4] / "workloads"

Row = Mapping[str, Any]


def rows_of(text: str) -> list[Row]:
    """Return one row for each cell of a workload."""
    workload = parse_workload("w.yaml", text)
    trials = expand(workload, fingerprints(workload))
    return [
        {**one.settings(), "cell_id": one.cell_id, "label": one.label, "seed": one.seed}
        for one in trials
        if one.seed == workload.seeds[0]
    ]


@cache
def shipped(name: str) -> dict[str, Row]:
    return {row["label"]: row for row in rows_of((WORKLOADS / f"{name}.yaml").read_text())}


def cells_of(rows: Iterable[Row]) -> tuple[Cell, ...]:
    """Make cells with ids of their own, even from equal or changed rows."""
    return cells_of_rows([{**row, "cell_id": str(place)} for place, row in enumerate(rows)], (), ())


def pairs(claim: str, rows: Iterable[Row]) -> list[Pair]:
    cells = cells_of(rows)
    return [pair for test in CLAIMS[claim].tests for pair in pairs_for(test, cells)]


def judged(claim: str, *cells: Cell) -> Verdict:
    [verdict] = judge_claims([CLAIMS[claim]], cells)
    return verdict


def line(verdict: Verdict) -> str:
    return f"{verdict.claim.brief}: {verdict.ruling}{line_after_ruling(verdict)}".replace("\N{NO-BREAK SPACE}", " ")


def resnet_110(values: Sequence[float | None], **settings: str) -> Cell:
    return cifar("resnet-110-A", values, depth=110, shortcut="A", **settings)


def judged_rows(claim: str, rows: Iterable[Row]) -> Verdict:
    [verdict] = judge_claims([CLAIMS[claim]], cells_of(rows))
    return verdict


PLAIN = """
name: w
dataset: digits
matrix:
  - {model: resnet_cifar, depth: 8, shortcut: plain, recipe: %s}
  - {model: resnet_cifar, depth: 14, shortcut: plain, recipe: %s}
recipe: quick
seeds: 2
"""

RESNET_110 = """
name: w
dataset: {name: cifar10, split: %s}
matrix:
  - {model: resnet_cifar, depth: 110, shortcut: %s}
recipe: {name: %s}
seeds: 2
"""
