"""The claims of the registry: their figures, and the shipped workloads that can decide them."""

from __future__ import annotations

import pytest

from harness.workload.load import fingerprints, parse_workload
from harness.workload.matrix import expand
from models.published.entries import PUBLISHED
from reports.claims.contrasts import CONTRASTS
from reports.claims.kinds import KINDS
from reports.claims.registry import CLAIMS
from reports.claims.verdicts import claims_for
from reports.stats.cells import Cell, cells_of_rows
from tests.unit.reports.claims.conftest import WORKLOADS


def test_every_test_of_every_claim_names_a_contrast_and_a_kind_that_exist() -> None:
    for claim in CLAIMS.values():
        assert claim.tests
        assert all(test.contrast in CONTRASTS and test.kind in KINDS for test in claim.tests)


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_figures_behind_a_claim_are_those_that_its_paper_prints(claim: str) -> None:
    paper = CLAIMS[claim].source.split("(")[1].split(")")[0]
    for figure in (figure for test in CLAIMS[claim].tests for figure in test.published):
        entries = [one for one in PUBLISHED if (one.spec.label, one.dataset) == (figure.network, figure.dataset)]
        errors = {
            (one.printed, one.std_pct)
            for entry in entries
            for one in entry.errors
            if _stands(one.source, paper, figure.where)
        }
        gmacs = {
            (f"{one.value / 1e9:g}", None)
            for entry in entries
            for one in entry.counts
            if one.quantity == "macs" and _stands(one.source, paper, figure.where)
        }
        assert (figure.printed, figure.sd) in errors | gmacs
        if figure.sd is not None:
            statistics = {one.statistic for entry in entries for one in entry.errors if one.printed == figure.printed}
            assert f"mean of {figure.runs}" in statistics


def _stands(source: str, paper: str, where: str) -> bool:
    return paper in source and source.endswith(where)


def workload_cells(text: str) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    workload = parse_workload("w.yaml", text)
    trials = expand(workload, fingerprints(workload))
    rows = [{**one.settings(), "cell_id": one.cell_id, "label": one.label, "seed": one.seed} for one in trials]
    return cells_of_rows(rows, ["dataset.name", "model.block"], ()), workload.claims


# Claims that each shipped workload can decide, with the number of comparisons, counted by hand from its tables.
DECIDABLE = {
    "digits": {
        "plain-degrades-with-depth": 1,
        "residual-does-not-degrade": 2,
        "residual-beats-plain": 2,
    },
    "he2015-cifar10": {
        "plain-degrades-with-depth": 1,
        "plain-test-error-grows": 1,
        "plain-110-fails": 1,
        "residual-does-not-degrade": 1,
        "residual-improves-to-110": 1,
        "residual-beats-plain": 1,
        "resnet-1202-overfits": 2,
        "resnet-1202-fits-its-training-set": 1,
        "resnet-110-reaches-published": 1,
    },
    "he2015-imagenet": {
        "plain-degrades-with-depth": 1,
        "plain-test-error-grows": 1,
        "residual-does-not-degrade": 2,
        "residual-improves-on-imagenet": 1,
        "residual-beats-plain": 3,
        "options-differ-little": 3,
        "options-in-order": 2,
        "bottleneck-50-costs-as-basic-34": 1,
        "resnet-152-costs-less-than-vgg-19": 1,
    },
    "he2016-shortcuts": {"identity-beats-other-shortcuts": 15},
    "he2016-activations": {"clean-addition-beats-unclean": 4, "preactivation-beats-original": 2},
    "he2016-depth": {
        "preactivation-beats-original": 6,
        "preactivation-gains-with-depth": 2,
        "preresnet-1001-reaches-published": 1,
        "preresnet-1001-reaches-published-in-batches-of-64": 1,
        "preresnet-1001-reaches-published-on-cifar-100": 1,
    },
}


@pytest.mark.parametrize("name", DECIDABLE)
def test_a_shipped_workload_names_claims_that_its_cells_can_decide(name: str) -> None:
    cells, named = workload_cells((WORKLOADS / f"{name}.yaml").read_text())
    found = {claim: sum(len(CONTRASTS[test.contrast](cells)) for test in CLAIMS[claim].tests) for claim in named}
    assert found == DECIDABLE[name]


def test_every_claim_is_named_by_a_shipped_workload() -> None:
    assert {claim for claims in DECIDABLE.values() for claim in claims} == set(CLAIMS)


def test_a_workload_without_claims_takes_those_that_its_cells_can_decide() -> None:
    cells, _ = workload_cells((WORKLOADS / "he2016-depth.yaml").read_text())
    taken = [claim.id for claim in claims_for(cells, ())]
    assert set(DECIDABLE["he2016-depth"]) <= set(taken)
    assert "plain-110-fails" not in taken
