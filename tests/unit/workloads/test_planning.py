"""Workload files with each data set, planned before any of its files is here."""

import json

import pytest

from harness.cli.main import main
from workloads.datasets import DATASETS

WORKLOAD = """\
name: tiny
dataset: {dataset}
matrix: {matrix}
recipe: {recipe}
seeds: 1
"""
CIFAR_NET = "{model: resnet_cifar, depth: 20, shortcut: A}"
IMAGENET_NET = "{model: resnet_imagenet, depth: 50, shortcut: B}"


@pytest.fixture
def plan(tmp_path, monkeypatch, capsys):
    """Return a function that plans a workload in an empty folder and returns exit code, plan and message."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(dataset, matrix=CIFAR_NET, recipe="quick"):
        (tmp_path / "w.yaml").write_text(WORKLOAD.format(dataset=dataset, matrix=matrix, recipe=recipe))
        code = main(("plan", "w.yaml", "--json"))
        out, err = capsys.readouterr()
        return code, json.loads(out) if out else None, err

    return run


@pytest.mark.parametrize(
    ("dataset", "train_images"),
    [
        ("cifar10", 50_000),
        ("{name: cifar10, split: train45k}", 45_000),
        ("cifar100", 50_000),
        ("fashion_mnist", 60_000),
        ("{name: fashion_mnist, image_size: 28, split: train54k}", 54_000),
        ("{name: synthetic, channels: 4, image_size: 16, train_images: 77, test_images: 9}", 77),
        ("{name: imagenet, root: /nowhere}", 1_281_167),
    ],
)
def test_a_data_set_is_planned_without_its_files(plan, dataset, train_images):
    code, planned, err = plan(dataset)
    assert (code, err) == (0, "")
    (trial,) = planned["trials"]
    in_whole_batches = train_images // 64 * 64
    assert trial["train_flops"] == 12 * in_whole_batches * trial["train_flops_per_image"]


def test_the_networks_of_the_papers_are_held_against_their_published_sizes(plan):
    (cell,) = plan("cifar10")[1]["audit"]
    assert (cell["published_params"], cell["within"]) == (270_000, True)  # He et al. 2015, Table 6: 0.27 M
    (cell,) = plan("imagenet", IMAGENET_NET)[1]["audit"]
    assert (cell["published_macs"], cell["within"]) == (3.8e9, True)  # Table 1: 3.8 x 10^9


def test_crops_of_another_size_are_another_network_and_not_held_against_the_paper(plan):
    code, planned, _ = plan("{name: imagenet, image_size: 112}", IMAGENET_NET)
    assert code == 0
    assert planned["audit"][0]["published_macs"] is None


def test_the_root_decides_nothing_and_the_options_do(plan):
    def trial_id(dataset):
        return plan(dataset)[1]["trials"][0]["trial_id"]

    ids = [
        trial_id(f"{{name: cifar10, {options}}}")
        for options in ("root: a", "root: s3://b", "normalize: channel", "split: train45k")
    ]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_a_subset_without_its_files_cannot_be_planned_and_that_is_said(plan):
    code, _, err = plan("{name: imagenet, subset: dogs, root: /nowhere}")
    assert code == 2
    assert "w.yaml:2: the data set cannot be used: there is no folder /nowhere/train" in err


def test_an_augmentation_that_a_data_set_has_not_is_refused_before_anything_runs(plan):
    code, _, err = plan("imagenet", IMAGENET_NET, "{name: quick, augmentation: crop-flip}")
    assert code == 2
    said = "augmentation crop-flip does not fit imagenet, which takes none, scale-jitter, random-resized-crop"
    assert f"w.yaml:4: {said}" in err


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ("{name: cifar10, normalize: whitening}", "it must be 'channel' or 'pixel-mean'"),
        ("{name: cifar10, verify: false}", "unknown key 'verify' in dataset"),
        ("{name: cifar10, official: none}", "unknown key 'official' in dataset"),
        ("{name: synthetic, classes: 0}", "classes is 0; it must be at least 1"),
    ],
)
def test_options_that_there_are_not_are_refused_with_those_that_there_are(plan, dataset, said):
    code, _, err = plan(dataset)
    assert code == 2
    assert said in err


def test_every_data_set_is_listed(capsys):
    assert main(("list", "datasets", "--json")) == 0
    listed = {entry["dataset"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert list(listed) == list(DATASETS)
    assert (listed["imagenet"]["classes"], listed["imagenet"]["train"]) == (1000, 1_281_167)
