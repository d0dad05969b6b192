"""The sweep that a word in a command stands for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.errors import SweepNotFound
from harness.schema import Tag
from harness.tracking.sweeps import StoredSweep, choose
from harness.tracking.tracker import RunRecord


def sweep(name: str, sweep_id: str, run_id: str) -> StoredSweep:
    run = RunRecord(run_id=run_id, name=name, status="FINISHED", start_ms=0, end_ms=1, tags={Tag.SWEEP_ID: sweep_id})
    return StoredSweep(run=run, experiment_id="1", experiment="digits")


SWEEPS = [
    sweep("digits-20260103", "aa11", "f00"),
    sweep("digits-20260102", "ab22", "f01"),
    sweep("cifar10", "cc33", "e02"),
    sweep("cifar10-degradation", "dd44", "e03"),
]


def test_no_word_means_the_newest() -> None:
    assert choose(SWEEPS, None) is SWEEPS[0]


@pytest.mark.parametrize("word", ["digits-20260102", "ab22", "f01", "ab", "digits-20260102"[:15]])
def test_a_name_an_id_or_the_only_beginning_means_that_sweep(word: str) -> None:
    assert choose(SWEEPS, word) is SWEEPS[1]


def test_a_whole_name_is_meant_even_if_another_begins_with_it() -> None:
    assert choose(SWEEPS, "cifar10") is SWEEPS[2]


def test_a_beginning_of_several_is_refused_with_all_of_them() -> None:
    with pytest.raises(SweepNotFound, match=r"digits-20260103 \(aa11\), digits-20260102 \(ab22\)"):
        choose(SWEEPS, "digits")


def test_a_name_that_two_sweeps_have_is_refused() -> None:
    with pytest.raises(SweepNotFound, match=r"aa11.*bb55"):
        choose([*SWEEPS, sweep("digits-20260103", "bb55", "f09")], "digits-20260103")


def test_a_sweep_that_several_experiments_have_is_told_apart_by_its_runs() -> None:
    other = replace(sweep("cifar10", "cc33", "e09"), experiment="again")
    with pytest.raises(SweepNotFound, match="several experiments; give the id of its run: e02 in digits, e09 in again"):
        choose([*SWEEPS, other], "cc33")
    assert choose([*SWEEPS, other], "e09") is other


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(SweepNotFound, match="the nearest: cifar10-degradation"):
        choose(SWEEPS, "cifar10-degradatoin")


def test_an_unknown_name_is_refused_with_the_newest() -> None:
    with pytest.raises(SweepNotFound, match=r"the newest: digits-20260103 \(aa11\)"):
        choose(SWEEPS, "???")


def test_the_empty_word_means_nothing() -> None:
    with pytest.raises(SweepNotFound):
        choose(SWEEPS, "")


def test_an_empty_store_is_told() -> None:
    with pytest.raises(SweepNotFound, match="holds no sweep yet"):
        choose([], None)
