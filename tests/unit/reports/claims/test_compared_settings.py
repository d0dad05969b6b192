"""Each setting of one cell is changed in turn: a claim compares cells that are alike in all but what it is about."""

from __future__ import annotations

import pytest

from reports.claims.registry import CLAIMS
from tests.unit.reports.claims.allowed_differences import CIFAR, DEEP, MAY_DIFFER, SETTINGS
from tests.unit.reports.claims.conftest import Row, pairs, shipped


def changed(row: Row, key: str) -> Row:
    """Return the row with another value of one setting."""
    value = row.get(key)
    if key == "measure":
        return {**row, key: "throughput"}
    if key == "model.shortcut":
        return {**row, key: "A" if value == "B" else "B"}
    if isinstance(value, bool) or value is None:
        return {**row, key: not value}
    return {**row, key: f"{value} too" if isinstance(value, str) else value + 1}


def test_every_setting_that_decides_a_result_is_changed_below() -> None:
    every = {
        key for name in (CIFAR, DEEP, "digits", "throughput-imagenet") for row in shipped(name).values() for key in row
    }
    assert every - {"cell_id", "label", "seed", "machine.device_count"} <= SETTINGS


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_cell_is_compared_no_more_once_it_differs_in_a_setting_that_the_claim_is_not_about(claim: str) -> None:
    workload, may_differ = MAY_DIFFER[claim]
    rows = {label: shipped(workload)[label] for label in may_differ}
    assert pairs(claim, rows.values())
    for label, expected in may_differ.items():
        others = [row for other, row in rows.items() if other != label]
        compared = {key for key in SETTINGS if pairs(claim, [changed(rows[label], key), *others])}
        assert compared == set(expected), label


@pytest.mark.parametrize("claim", [name for name, (_, cells) in MAY_DIFFER.items() if len(cells) > 1])
@pytest.mark.parametrize("kind", ["model", "dataset", "recipe", "scale", "machine"])
def test_a_setting_of_a_later_version_is_held_fixed_too(claim: str, kind: str) -> None:
    workload, labels = MAY_DIFFER[claim]
    rows = [{**shipped(workload)[label], f"{kind}.something_new": 0.5} for label in labels]
    assert pairs(claim, rows)
    rows[-1] = {**rows[-1], f"{kind}.something_new": 0.25}
    assert pairs(claim, rows) == []
