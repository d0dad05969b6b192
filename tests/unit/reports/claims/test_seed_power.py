"""A plan's statements about seeds and claims, against tables and the verdicts of drawn sweeps."""

from __future__ import annotations

import pytest

from reports.claims.registry import CLAIMS
from reports.claims.seed_power import ClaimPower, seed_power
from reports.stats.cells import Cell
from reports.testing.synthetic_cells import cifar, imagenet


def power(claim: str, *cells: Cell, spread: float = 0.2) -> ClaimPower:
    [found] = seed_power([CLAIMS[claim]], cells, spread)
    return found


def plain(n: int) -> list[Cell]:
    return [cifar(f"plain-{depth}", [None] * n, depth=depth, shortcut="plain") for depth in (20, 56)]


def test_a_published_gap_of_three_spreads_takes_the_seeds_that_tables_say() -> None:
    # 27.94 and 28.54: a gap of 0.60, three spreads of 0.2. Cohen's formula for d = 3: 4 seeds a group.
    found = power("plain-test-error-grows", *plain(3))
    assert (found.gap, found.seeds, found.seeds_needed) == (pytest.approx(0.60), 3, 4)
    assert found.decidable is False
    assert power("plain-test-error-grows", *plain(4)).decidable is True


def test_a_wider_spread_takes_more_seeds() -> None:
    # d = 0.60 / 1.2 = 0.5: 64 a group (Cohen 1988, table 2.4.1).
    assert power("plain-test-error-grows", *plain(4), spread=1.2).seeds_needed == 64


def test_where_the_paper_prints_no_gap_the_smallest_that_can_be_told_is_given() -> None:
    found = power("plain-degrades-with-depth", *plain(64), spread=1.0)
    assert (found.decidable, found.power, found.reason) == (None, None, "the paper prints no gap")
    assert found.detectable == pytest.approx(0.5, abs=0.005)


def test_one_seed_decides_nothing_that_is_about_means() -> None:
    found = power("plain-test-error-grows", *plain(1))
    assert (found.decidable, found.power, found.seeds_needed) == (False, 0.0, 4)


def test_a_claim_without_its_cells_says_what_it_needs() -> None:
    found = power("residual-beats-plain", *plain(3))
    assert (found.decidable, found.reason) == (False, "needs a residual and a plain network of the same depth")


def test_counts_need_no_seeds_and_a_threshold_takes_each_on_its_own() -> None:
    deep = imagenet("resnet-152-B", [None], depth=152, shortcut="B", macs=11.3e9)
    assert power("resnet-152-costs-less-than-vgg-19", deep).decidable is True
    fails = power("plain-110-fails", cifar("plain-110", [None], depth=110, shortcut="plain"))
    assert fails.decidable is None
    assert "on its own" in fails.reason


def test_more_claims_in_a_report_leave_each_less_chance() -> None:
    claims = [CLAIMS["plain-test-error-grows"], CLAIMS["plain-degrades-with-depth"]]
    shared = seed_power(claims, plain(4))[0].power
    alone = power("plain-test-error-grows", *plain(4)).power
    assert shared is not None
    assert alone is not None
    assert shared < alone
