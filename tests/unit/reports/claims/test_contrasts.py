"""The cells that a claim compares, on cells of the shipped workloads."""

from __future__ import annotations

import pytest

from reports.claims.contrast import Conditions
from reports.claims.contrasts import CONTRASTS, HE_2015_CIFAR, HE_2015_CIFAR_110, HE_2016_CIFAR, HE_2016_CIFAR_64
from reports.claims.registry import CLAIMS
from tests.unit.reports.claims.allowed_differences import CIFAR, COMPUTED, PUBLISHED_ERRORS, UNUSED, UNWARMED
from tests.unit.reports.claims.conftest import PLAIN, RESNET_110, pairs, rows_of, shipped


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", ["digits", "he2015-cifar10", "he2015-imagenet", "he2016-shortcuts", "he2016-depth"])
def test_a_second_learning_rate_doubles_the_comparisons_and_none_has_both_rates(name: str, backwards: bool) -> None:
    once = list(shipped(name).values())
    twice = [{**row, "recipe.lr": lr} for row in once for lr in (row["recipe.lr"], 0.5)][:: -1 if backwards else 1]
    for claim in CLAIMS:
        found = pairs(claim, twice)
        trained_as_published = claim in PUBLISHED_ERRORS
        assert len(found) == (1 if trained_as_published else 2) * len(pairs(claim, once))
        assert all(len({cell.settings["recipe.lr"] for cell in (*pair.cells, *pair.path)}) == 1 for pair in found)


def test_each_set_of_alike_cells_is_a_comparison_named_by_what_tells_it_apart() -> None:
    both = "{name: quick, epochs: [6, 1], weight_decay: 0.01}"
    found = pairs("plain-degrades-with-depth", rows_of(PLAIN % (both, both)))
    assert [pair.label for pair in found] == ["plain, epochs 6", "plain, epochs 1"]
    assert [[cell.depth for cell in pair.cells] for pair in found] == [[8, 14], [8, 14]]


def test_a_network_of_110_layers_without_a_warm_up_is_compared_beside_the_one_with() -> None:
    rows = list(shipped("he2015-cifar10").values())
    cold = {**shipped("he2015-cifar10")["resnet-56-A"], "model.depth": 110, "label": "cold"}
    up_to_110 = pairs("residual-improves-to-110", [*rows, cold])
    assert [pair.second.label for pair in up_to_110] == ["resnet-110-A", "cold"]
    assert len({pair.label for pair in up_to_110}) == 2
    # 20 layers and 1202 are compared once for each way to go by 110, and no path goes by both.
    paths = [[cell.depth for cell in pair.path] for pair in pairs("residual-does-not-degrade", [*rows, cold])]
    assert paths == [[20, 32, 44, 56, 110, 1202]]


def test_a_deeper_pair_stands_for_a_shallower_one_of_its_own_shortcut_and_training_alone() -> None:
    rows = shipped("digits")
    shallow, deep = [[rows[f"plain-{depth}"], rows[f"resnet-{depth}-A"]] for depth in (8, 44)]
    faster = [{**row, "recipe.lr": 0.2} for row in deep]
    other_option = [rows["plain-44"], rows["resnet-44-B"]]
    for deeper, depths in ((deep, [44]), (faster, [8, 44]), (other_option, [8, 44])):
        assert [pair.second.depth for pair in pairs("residual-beats-plain", [*shallow, *deeper])] == depths


def test_bottlenecks_with_their_stride_in_different_places_are_not_compared() -> None:
    rows = shipped("he2015-imagenet")
    chosen = [rows["resnet-34-B"], rows["resnet-50-B"], {**rows["resnet-101-B"], "model.stride_in": "3x3"}]
    found = pairs("residual-improves-on-imagenet", chosen)
    assert sorted([cell.depth for cell in pair.cells] for pair in found) == [[34, 50], [34, 101]]


def test_what_is_said_of_imagenet_is_not_judged_on_other_images() -> None:
    rows = [shipped("he2015-imagenet")[label] for label in ("resnet-34-B", "resnet-152-B")]
    assert pairs("residual-improves-on-imagenet", [{**row, "dataset.name": "synthetic"} for row in rows]) == []


def test_an_activation_that_an_older_version_did_not_write_down_is_the_original() -> None:
    shallow, deep = (shipped("digits")[label] for label in ("plain-8", "plain-44"))
    older = {key: value for key, value in shallow.items() if key != "model.activation"}
    assert len(pairs("plain-degrades-with-depth", [older, deep])) == 1
    without_rate = {key: value for key, value in shallow.items() if key != "recipe.lr"}
    assert pairs("plain-degrades-with-depth", [without_rate, deep]) == []


def test_each_way_to_compute_the_published_training_is_held_against_its_error_under_its_own_name() -> None:
    rows = rows_of(RESNET_110 % ("all", "A", "he2015-cifar-110, precision: [fp32, bf16], lr: [0.1, 0.05]"))
    found = pairs("resnet-110-reaches-published", rows)
    assert [pair.label for pair in found] == [
        "resnet-110-A lr=0.1 precision=fp32",
        "resnet-110-A lr=0.1 precision=bf16",
    ]


@pytest.mark.parametrize(
    ("recipe", "training"),
    [
        ("he2015-cifar", HE_2015_CIFAR),
        ("he2015-cifar-110", HE_2015_CIFAR_110),
        ("he2016-cifar", HE_2016_CIFAR),
        ("he2016-cifar-64", HE_2016_CIFAR_64),
    ],
)
def test_a_published_training_is_that_of_its_recipe_and_every_other_setting_is_off(
    recipe: str, training: Conditions
) -> None:
    [row] = rows_of(RESNET_110 % ("all", "plain", recipe))
    used = {key: value for key, value in row.items() if key.startswith("recipe.") and value}
    aside = COMPUTED | UNUSED | UNWARMED | {"recipe.evaluation"}
    named = {key: value for key, (value,) in training.items()}
    assert {key: value for key, value in used.items() if key in named or key not in aside} == named


def test_only_the_published_warm_up_of_the_published_network_may_be_missing_on_the_other_side() -> None:
    rows = shipped(CIFAR)
    warm, cold = rows["resnet-110-A"], rows["resnet-56-A"]
    assert len(pairs("residual-does-not-degrade", [cold, warm])) == 1
    for key, value in {
        "dataset.name": "cifar100",
        "model.name": "resnet_other",
        "model.block": "bottleneck",
        "recipe.warmup_until_error_pct": 90.0,
        "recipe.warmup_lr": 0.02,
    }.items():
        others = [cold, warm] if key.startswith("recipe.") else [{**cold, key: value}, warm]
        others[1] = {**warm, key: value}
        assert pairs("residual-does-not-degrade", others) == [], key


def test_every_contrast_serves_a_claim() -> None:
    assert {test.contrast for claim in CLAIMS.values() for test in claim.tests} == set(CONTRASTS)
