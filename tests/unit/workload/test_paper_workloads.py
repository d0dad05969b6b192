"""The papers' tables as workload files: their cells, and that each network is the published one."""

from __future__ import annotations

import pytest

from harness.errors import WorkloadError
from harness.planning.plan import Plan, check_audit, make_plan
from harness.trial import Trial
from harness.workload.load import Workload, fingerprints, load_workload, parse_workload
from harness.workload.matrix import expand
from models.audit import audit
from models.published.entries import PUBLISHED, published
from models.resnet_spec import ResNetImageNet

# Cells, and cells for which a count is published, read off the papers' tables.
TABLES = {
    "he2015-cifar10": (11, 11),
    "he2015-imagenet": (9, 8),
    "he2016-shortcuts": (16, 2),
    "he2016-activations": (10, 2),
    "he2016-depth": (13, 6),
}


def planned(name: str) -> tuple[Workload, tuple[Trial, ...], Plan]:
    workload = load_workload(f"workloads/{name}.yaml")
    trials = expand(workload, fingerprints(workload))
    return workload, trials, make_plan(workload, trials, {})


@pytest.mark.parametrize("name", TABLES)
def test_a_papers_tables_can_be_planned_without_its_data_and_every_count_is_the_published_one(name: str) -> None:
    workload, _, plan = planned(name)
    cells, counted = TABLES[name]
    assert len(plan.audit) == cells
    assert sum(cell.within is True for cell in plan.audit) == counted
    assert not [cell.mismatches for cell in plan.audit if cell.mismatches]
    check_audit(workload, plan)


def dataset_of(trial: Trial) -> str:
    return {"Cifar10": "cifar10", "Cifar100": "cifar100", "ImageNet": "imagenet"}[type(trial.dataset).__name__]


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("he2015-cifar10", "He 2015 (arXiv 1512.03385), Table 6"),
        ("he2015-imagenet", "He 2015 (arXiv 1512.03385), Table 2"),
        ("he2015-imagenet", "He 2015 (arXiv 1512.03385), Table 3"),
        ("he2016-shortcuts", "He 2016 (arXiv 1603.05027), Table 1"),
        ("he2016-activations", "He 2016 (arXiv 1603.05027), Table 2"),
        ("he2016-depth", "He 2016 (arXiv 1603.05027), Table 3"),
        ("he2016-depth", "He 2016 (arXiv 1603.05027), Table 4"),
    ],
)
def test_every_error_that_a_table_prints_for_a_trained_network_has_its_cell(name: str, table: str) -> None:
    printed = {(one.spec, one.dataset) for one in PUBLISHED for figure in one.errors if figure.source == table}
    # VGG and GoogLeNet were not trained by the paper; option C of 110 layers is its conv1x1.
    own = {cell for cell in printed if cell[0].family != "reference" and cell[0].label != "resnet-110-C"}
    assert own
    assert own <= {(trial.model, dataset_of(trial)) for trial in planned(name)[1]}


def test_only_the_110_residual_layers_wait_for_the_training_error() -> None:
    _, trials, _ = planned("he2015-cifar10")
    waiting = {trial.label for trial in trials if trial.recipe.warmup_until_error_pct}
    assert waiting == {"resnet-110-A"}
    assert {trial.label for trial in trials} >= {"plain-20", "plain-110", "resnet-1202-A"}


def test_the_1001_layers_are_trained_in_batches_of_128_and_of_64() -> None:
    _, trials, _ = planned("he2016-depth")
    batches = {
        (dataset_of(trial), trial.recipe.batch_size)
        for trial in trials
        if trial.model.axes["depth"] == 1001 and trial.model.axes["activation"] == "full_preact"
    }
    assert batches == {("cifar10", 128), ("cifar10", 64), ("cifar100", 128)}


MISNAMED = """
name: misnamed
dataset: imagenet
matrix: {model: resnet_imagenet, depth: 50, stride_in: 3x3}
recipe: he2015-imagenet
seeds: 1
"""


def test_resnet_50_with_torchvisions_stride_is_not_the_papers_and_its_own_count_is_audited() -> None:
    """4.09 giga-MACs, as torchvision prints, and not the 3.8 of the paper's Table 1."""
    workload = parse_workload("w.yaml", MISNAMED)
    [cell] = make_plan(workload, expand(workload, fingerprints(workload)), {}).audit
    assert (cell.source, cell.within, cell.published_macs) == ("torchvision 0.29.2", True, 4.089e9)


def test_torchvisions_stride_under_the_papers_name_stops_the_sweep_before_anything_trains() -> None:
    papers = published(ResNetImageNet(depth=50), "imagenet")
    assert papers is not None
    workload = parse_workload("w.yaml", MISNAMED)
    trials = expand(workload, fingerprints(workload))
    plan = make_plan(workload, trials, {}, audit=lambda _model, _dataset, cost: audit(cost, papers))
    with pytest.raises(WorkloadError, match=r"macs 4,089,\d+,\d+ here, 3,800,000,000 in He 2015 .*, Table 1") as caught:
        check_audit(workload, plan)
    assert "Nothing was trained" in str(caught.value)
    check_audit(parse_workload("w.yaml", f"{MISNAMED}audit: warn\n"), plan)
