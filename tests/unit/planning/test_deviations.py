"""The ledger of deviations from the published training, against the papers' own text."""

from __future__ import annotations

import json

import pytest

from harness.planning.deviations import Deviation, Ledger, ledger_of
from harness.planning.plan import make_plan
from harness.workload.load import load_workload, parse_workload
from harness.workload.matrix import expand
from workloads.recipes import RECIPES

HE_2015 = "He 2015 (arXiv 1512.03385)"
HE_2016 = "He 2016 (arXiv 1603.05027)"


def ledgers(text: str) -> list[Ledger]:
    workload = parse_workload("w.yaml", f"name: w\nseeds: 1\n{text}")
    return [ledger_of(trial) for trial in expand(workload, dict.fromkeys(workload.datasets, "a"))]


def changes(ledger: Ledger) -> dict[str, tuple[str | None, str]]:
    return {one.name: (one.published, one.used) for one in ledger.deviations}


def resnet(depth: int, *, recipe: str, dataset: str = "cifar10", more: str = "", scale: str = "workers: 2") -> Ledger:
    """Return the ledger of a network on two workers, like the papers' two GPUs."""
    matrix = f"{{model: resnet_cifar, depth: {depth}{more}}}"
    [found] = ledgers(f"dataset: {dataset}\nmatrix: {matrix}\nrecipe: {recipe}\nscale: {{{scale}}}\n")
    return found


@pytest.mark.parametrize(
    ("depth", "more", "recipe", "source"),
    [
        (20, "", "he2015-cifar", f"{HE_2015}, section 4.2"),
        (56, ", shortcut: plain", "he2015-cifar", f"{HE_2015}, section 4.2"),
        (110, ", shortcut: plain", "he2015-cifar", f"{HE_2015}, section 4.2"),
        (110, "", "he2015-cifar-110", f"{HE_2015}, section 4.2"),
        (110, "", "he2016-cifar", f"{HE_2016}, appendix"),
        (110, ", activation: full_preact", "he2016-cifar", f"{HE_2016}, appendix"),
        (164, ", block: bottleneck, shortcut: B", "he2016-cifar", f"{HE_2016}, appendix"),
    ],
)
def test_a_papers_network_on_its_recipe_and_its_two_devices_differs_in_nothing(
    depth: int, more: str, recipe: str, source: str
) -> None:
    found = resnet(depth, recipe=recipe, more=more)
    assert (found.source, found.deviations) == (source, ())


def test_the_batch_of_one_device_is_what_batch_norm_sees() -> None:
    one = changes(resnet(20, recipe="he2015-cifar", scale="workers: 1"))
    parts = changes(resnet(20, recipe="{name: he2015-cifar, micro_batch_size: 64}", scale="workers: 1"))
    assert one == {"images behind a batch-norm statistic": ("64", "128")}
    assert parts == {}


def test_each_changed_setting_is_a_line_with_both_values() -> None:
    recipe = "{name: he2015-cifar, lr: 0.05, precision: bf16, compile: true, iterations: 60000, nesterov: true}"
    assert changes(resnet(20, recipe=recipe)) == {
        "recipe.lr": ("0.1", "0.05"),
        "recipe.precision": ("fp32", "bf16"),
        "recipe.length": ("64000 iterations", "60000 iterations"),
        "recipe.nesterov": ("no", "yes"),
    }


def test_other_data_and_another_split_are_deviations_too() -> None:
    split = resnet(20, recipe="he2015-cifar", dataset="{name: cifar10, split: train45k, normalize: channel}")
    assert changes(split) == {"dataset.split": ("all", "train45k"), "dataset.normalize": ("pixel-mean", "channel")}
    other = resnet(20, recipe="he2015-cifar", dataset="fashion_mnist")
    assert changes(other) == {
        "dataset.name": ("cifar10", "fashion_mnist"),
        "dataset.normalize": ("pixel-mean", "channel"),
    }


def test_where_the_data_lie_is_no_deviation() -> None:
    assert resnet(20, recipe="he2015-cifar", dataset="{name: cifar10, root: /somewhere}").deviations == ()


def test_a_cell_of_several_papers_is_compared_with_the_one_it_differs_least_from() -> None:
    near_the_first = resnet(110, recipe="{name: he2015-cifar-110, lr: 0.2}")
    near_the_second = resnet(110, recipe="{name: he2016-cifar, lr: 0.2}")
    assert (near_the_first.source, near_the_second.source) == (f"{HE_2015}, section 4.2", f"{HE_2016}, appendix")
    assert changes(near_the_first) == changes(near_the_second) == {"recipe.lr": ("0.1", "0.2")}


def test_the_1001_layers_in_batches_of_64_are_compared_with_the_released_code() -> None:
    more = ", block: bottleneck, shortcut: B, activation: full_preact"
    found = resnet(1001, recipe="he2016-cifar-64", more=more, dataset="{name: cifar10, normalize: channel}")
    assert (found.source, found.deviations) == (f"{HE_2016}, Table 4, batches of 64 (released code)", ())


def imagenet(model: str, recipe: str, workers: int = 8) -> Ledger:
    [found] = ledgers(f"dataset: imagenet\nmatrix: {{{model}}}\nrecipe: {recipe}\nscale: {{workers: {workers}}}\n")
    return found


def test_what_a_paper_needs_and_does_not_print_is_in_the_ledger_without_a_published_value() -> None:
    found = imagenet("model: resnet_imagenet, depth: 50", "he2015-imagenet")
    assert found.source == f"{HE_2015}, Tables 2 and 3"
    assert changes(found) == {
        "recipe.plateau_epochs": (None, "5"),
        "recipe.plateau_points": (None, "0.1"),
        # Photographs of many sizes have no mean of each pixel, except that of a crop.
        "dataset.normalize": ("pixel-mean", "channel"),
    }


def test_the_evaluation_picks_the_table_of_the_first_paper() -> None:
    recipe = "{name: he2015-imagenet, evaluation: %s}"
    sources = [
        imagenet("model: resnet_imagenet, depth: 50", recipe % evaluation).source
        for evaluation in ("10-crop", "multi-scale", "single-crop")
    ]
    assert sources == [f"{HE_2015}, {where}" for where in ("Tables 2 and 3", "Table 4", "released")]


def test_drops_at_fixed_steps_take_the_place_of_the_plateau() -> None:
    found = changes(imagenet("model: resnet_imagenet, depth: 50", "he2015-imagenet-steps"))
    del found["dataset.normalize"]
    assert found == {
        "recipe.schedule": ("plateau", "steps"),
        "recipe.lr_drop_iterations": ("none", "150000, 300000, 450000"),
    }


@pytest.mark.parametrize(("batch", "workers"), [(256, 8), (8192, 256)])
def test_goyals_recipe_is_as_published_for_every_batch_on_the_variant_that_it_trained(batch: int, workers: int) -> None:
    model = "model: resnet_imagenet, depth: 50, stride_in: 3x3"
    found = imagenet(model, f"{{name: goyal2017-imagenet, batch_size: {batch}}}", workers)
    assert (found.source, found.deviations) == ("Goyal 2017 (arXiv 1706.02677), section 5.1", ())


def test_the_200_layers_of_the_second_paper_are_seen_in_smaller_crops_here_and_their_length_is_not_printed() -> None:
    found = imagenet("model: resnet_imagenet, depth: 200, activation: full_preact", "he2016-imagenet")
    assert found.source == f"{HE_2016}, Table 5"
    assert changes(found) == {
        "recipe.evaluation": ("single crop of 320 px", "single-crop"),
        "recipe.length": (None, "90 epochs"),
        "dataset.normalize": ("pixel-mean", "channel"),
    }


@pytest.mark.parametrize("model", ["model: vgg16", "model: resnet_imagenet, depth: 50, se: 16"])
def test_a_network_that_no_paper_trained_by_a_recipe_here_is_compared_with_none(model: str) -> None:
    found = imagenet(model, "he2015-imagenet")
    assert (found.source, found.deviations) == (None, ())


def test_a_record_is_json_and_holds_name_published_and_used() -> None:
    record = json.loads(json.dumps(resnet(20, recipe="{name: he2015-cifar, lr: 0.2}").record()))
    assert record["deviations"] == [{"name": "recipe.lr", "published": "0.1", "used": "0.2"}]
    assert (record["label"], record["source"]) == ("resnet-20-A", f"{HE_2015}, section 4.2")
    assert Deviation(**record["deviations"][0]).used == "0.2"


def test_a_plan_has_a_ledger_for_every_cell() -> None:
    workload = load_workload("digits")
    plan = make_plan(workload, expand(workload, dict.fromkeys(workload.datasets, "a")), {})
    assert [one.cell_id for one in plan.deviations] == [cell.cell_id for cell in plan.audit]
    assert [one["cell_id"] for one in plan.record()["deviations"]] == [cell.cell_id for cell in plan.audit]
    [names] = {tuple(one.name for one in ledger.deviations) for ledger in plan.deviations}
    assert {"dataset.name", "recipe.length", "recipe.batch_size", "recipe.augmentation"} <= set(names)


def test_every_recipe_of_a_paper_is_somewhere_compared_with() -> None:
    assert set(RECIPES) == {
        "quick",  # these two belong to no paper
        "timing",
        "he2015-cifar",
        "he2015-cifar-110",
        "he2015-imagenet",
        "he2015-imagenet-steps",
        "he2016-cifar",
        "he2016-cifar-64",
        "he2016-imagenet",
        "goyal2017-imagenet",
    }
