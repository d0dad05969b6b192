"""The cells that a claim compares, on cells of the shipped workloads, each setting of one side changed in turn."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from harness.trial import Machine, Scale
from harness.workload.load import fingerprints, parse_workload
from harness.workload.matrix import expand
from models import MODELS
from reports.claims.contrast import Conditions
from reports.claims.contrasts import (
    CONTRASTS,
    HE_2015_CIFAR,
    HE_2015_CIFAR_110,
    HE_2016_CIFAR,
    HE_2016_CIFAR_64,
    Pair,
)
from reports.claims.registry import CLAIMS
from reports.claims.verdicts import Ruling, Verdict, judge_claims, pairs_for
from reports.stats.cells import Cell, cells_of_rows
from reports.testing.synthetic_cells import cifar, imagenet
from workloads.datasets import DATASETS
from workloads.recipes import Recipe

WORKLOADS = Path(__file__).parents[3] / "workloads"
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


def judged(claim: str, rows: Iterable[Row]) -> Verdict:
    [verdict] = judge_claims([CLAIMS[claim]], cells_of(rows))
    return verdict


# --- one setting more ------------------------------------------------------------------------------------------------


def _names(prefix: str, fields: Iterable[str]) -> set[str]:
    return {f"{prefix}.{field}" for field in fields} | {f"{prefix}.something_new"}


def _fields(*kinds: Any) -> set[str]:
    return {one.name for kind in kinds for one in dataclasses.fields(kind) if "aside" not in one.metadata}


MODEL = _names("model", {"name"}.union(*(spec.axis_names() for spec in MODELS.values())))
DATASET = _names("dataset", {"name", "fingerprint", *_fields(*DATASETS.values())})
RECIPE = _names("recipe", _fields(Recipe))
PLACE = _names("scale", _fields(Scale)) | _names("machine", _fields(Machine)) | {"protocol"}
SETTINGS = MODEL | DATASET | RECIPE | PLACE | {"measure"}

DEPTH = {"model.depth"}
# He 2015, Table 1: basic blocks at 18 and 34 layers, bottlenecks from 50 on, with their stride in the first 1x1.
STRIDE = {"model.stride_in"}
# He 2016, Table 1: the settings of scaled, gated and dropped shortcuts belong to the shortcut.
OF_SHORTCUTS = {"model.shortcut_scale", "model.residual_scale", "model.gate_bias", "model.dropout_rate"}
# Settings that a published error leaves open: how and where steps are computed. The schedule and all else that steps
# depend on are held: a short training would support that a network fails, and contradict that it reaches an error.
DIGEST = {"dataset.fingerprint", "dataset.normalize"}
COMPUTED = {
    "recipe.precision",
    "recipe.channels_last",
    "recipe.compile",
    "recipe.cuda_graphs",
    "recipe.fused_optimizer",
}
UNUSED = {"recipe.plateau_epochs", "recipe.plateau_points"}
UNWARMED = {"recipe.warmup_shape"}
WARMED = COMPUTED | UNUSED | DIGEST | PLACE
COLD = WARMED | UNWARMED

IMAGENET, CIFAR, DEEP = "he2015-imagenet", "he2015-cifar10", "he2016-depth"
_164, _1001 = "164-B-bottleneck cifar10", "1001-B-bottleneck cifar10"
# Claim -> workload, and for each compared cell the settings that may have another value.
MAY_DIFFER: dict[str, tuple[str, dict[str, Collection[str]]]] = {
    "plain-degrades-with-depth": (CIFAR, {"plain-20": DEPTH, "plain-110": DEPTH}),
    "plain-test-error-grows": (IMAGENET, {"plain-18": DEPTH, "plain-34": DEPTH}),
    "plain-110-fails": (CIFAR, {"plain-110": COLD}),
    "residual-does-not-degrade": (IMAGENET, {"resnet-34-B": DEPTH | STRIDE, "resnet-152-B": DEPTH | STRIDE}),
    "residual-improves-to-110": (CIFAR, {"resnet-20-A": DEPTH, "resnet-110-A": {}}),  # 111 layers are beyond 110
    "residual-improves-on-imagenet": (IMAGENET, {"resnet-34-B": DEPTH | STRIDE, "resnet-152-B": DEPTH | STRIDE}),
    "residual-beats-plain": (CIFAR, {"plain-110": {}, "resnet-110-A": {"model.shortcut"}}),
    "options-differ-little": (IMAGENET, {"resnet-34-A": {}, "resnet-34-B": {}, "resnet-34-C": {}}),
    "options-in-order": (IMAGENET, {"resnet-34-A": {}, "resnet-34-B": {}, "resnet-34-C": {}}),
    "resnet-1202-overfits": (CIFAR, {"resnet-110-A": {}, "resnet-1202-A": {}}),
    "resnet-1202-fits-its-training-set": (CIFAR, {"resnet-1202-A": COLD}),
    "resnet-110-reaches-published": (CIFAR, {"resnet-110-A": WARMED}),
    "bottleneck-50-costs-as-basic-34": (IMAGENET, {"resnet-34-B": STRIDE, "resnet-50-B": {}}),
    "resnet-152-costs-less-than-vgg-19": (
        IMAGENET,
        {"resnet-152-B": RECIPE | DIGEST | PLACE | {"measure", "model.shortcut"}},
    ),
    "identity-beats-other-shortcuts": (
        "he2016-shortcuts",
        {"resnet-110-A": OF_SHORTCUTS, "resnet-110-dropout-p0.5": OF_SHORTCUTS},
    ),
    "clean-addition-beats-unclean": ("he2016-activations", {"resnet-110-A": {}, "resnet-110-A-bn_after_add": {}}),
    "preactivation-beats-original": ("he2016-activations", {"resnet-110-A": {}, "preresnet-110-A": {}}),
    "preactivation-gains-with-depth": (
        DEEP,
        {
            f"resnet-{_164}": {},
            f"preresnet-{_164}": {},
            f"resnet-{_1001}": {},
            f"preresnet-{_1001} he2016-cifar": {},
        },
    ),
    "preresnet-1001-reaches-published": (
        DEEP,
        {f"preresnet-{_1001} he2016-cifar": WARMED},
    ),
    "preresnet-1001-reaches-published-in-batches-of-64": (
        DEEP,
        {f"preresnet-{_1001} he2016-cifar-64": COLD},
    ),
    "preresnet-1001-reaches-published-on-cifar-100": (
        DEEP,
        {"preresnet-1001-B-bottleneck cifar100": WARMED},
    ),
}


PUBLISHED_ERRORS = {
    "plain-110-fails",
    "resnet-1202-fits-its-training-set",
    "resnet-110-reaches-published",
    "preresnet-1001-reaches-published",
    "preresnet-1001-reaches-published-in-batches-of-64",
    "preresnet-1001-reaches-published-on-cifar-100",
}


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


# --- several sets of alike cells -------------------------------------------------------------------------------------


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


PLAIN = """
name: w
dataset: digits
matrix:
  - {model: resnet_cifar, depth: 8, shortcut: plain, recipe: %s}
  - {model: resnet_cifar, depth: 14, shortcut: plain, recipe: %s}
recipe: quick
seeds: 2
"""


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


# --- against published figures ---------------------------------------------------------------------------------------

RESNET_110 = """
name: w
dataset: {name: cifar10, split: %s}
matrix:
  - {model: resnet_cifar, depth: 110, shortcut: %s}
recipe: {name: %s}
seeds: 2
"""


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


# --- reasons ---------------------------------------------------------------------------------------------------------


def test_a_claim_that_finds_no_alike_cells_says_in_what_the_nearest_differ() -> None:
    found = judged(
        "plain-degrades-with-depth", rows_of(PLAIN % ("{name: quick, epochs: 6}", "{name: quick, epochs: 1}"))
    )
    assert found.ruling is Ruling.NOT_RUN
    assert found.reason == "plain-8 and plain-14 differ in recipe.epochs (6, 1)"


def test_the_nearest_of_several_cells_are_those_that_differ_in_the_fewest_settings() -> None:
    shallow, middle, deep = (shipped("digits")[label] for label in ("plain-8", "plain-20", "plain-44"))
    middle = {**middle, "recipe.lr": 0.2}
    deep = {**deep, "recipe.lr": 0.3, "recipe.nesterov": True}
    reason = judged("plain-degrades-with-depth", [shallow, middle, deep]).reason
    assert reason == "plain-8 and plain-20 differ in recipe.lr (0.1, 0.2)"


def test_many_differences_are_counted_and_not_listed() -> None:
    rows = rows_of(
        PLAIN % ("quick", "{name: quick, epochs: 1, lr: 0.2, momentum: 0, weight_decay: 0, schedule: constant}")
    )
    assert judged("plain-degrades-with-depth", rows).reason == (
        "plain-8 and plain-14 differ in recipe.epochs (12, 1), recipe.lr (0.1, 0.2), "
        "recipe.schedule (linear, constant) and 2 more settings"
    )


@pytest.mark.parametrize(
    ("claim", "axes", "reason"),
    [
        (
            "resnet-110-reaches-published",
            ("train45k", "A", "he2015-cifar-110"),
            "resnet-110-A and the published network differ in dataset.split (train45k, all)",
        ),
        (
            "resnet-110-reaches-published",
            ("all", "A", "he2015-cifar"),
            (
                "resnet-110-A and the published network differ in recipe.warmup_until_error_pct (none, 80), "
                "recipe.warmup_lr (none, 0.01), recipe.warmup_shape (climb, hold)"
            ),
        ),
        (
            "plain-110-fails",
            ("all", "plain", "he2015-cifar, iterations: 50000"),
            "plain-110 and the published network differ in recipe.iterations (50000, 64000)",
        ),
        (
            "resnet-110-reaches-published",
            ("all", "B", "he2015-cifar-110"),
            "needs the residual network of 110 layers on CIFAR-10, option A, trained and warmed up as in the paper",
        ),
    ],
)
def test_a_network_that_is_not_held_against_its_published_error_says_what_is_not_as_published(
    claim: str, axes: tuple[str, str, str], reason: str
) -> None:
    found = judged(claim, rows_of(RESNET_110 % axes))
    assert (found.ruling, found.reason) == (Ruling.NOT_RUN, reason)


def test_a_third_option_that_was_trained_otherwise_is_the_reason_why_three_are_not_compared() -> None:
    rows = [shipped("he2015-imagenet")[f"resnet-34-{option}"] for option in "ABC"]
    rows[2] = {**rows[2], "recipe.epochs": 5}
    assert judged("options-in-order", rows).reason == "resnet-34-C and resnet-34-B differ in recipe.epochs (5, none)"


def test_gains_whose_trainings_differ_between_depths_say_so() -> None:
    rows = [shipped(DEEP)[label] for label in MAY_DIFFER["preactivation-gains-with-depth"][1]]
    rows[2:] = [{**row, "recipe.lr": 0.2} for row in rows[2:]]
    assert "differ in recipe.lr (0.1, 0.2)" in judged("preactivation-gains-with-depth", rows).reason


# --- many cells ------------------------------------------------------------------------------------------------------

MANY = 120
FORMS = {
    "plain and A": (cifar, [{"shortcut": "plain"}, {"shortcut": "A"}]),
    "options": (imagenet, [{"shortcut": option} for option in ("plain", "A", "B", "C")]),
    "activations": (cifar, [{"shortcut": "B", "activation": form} for form in ("original", "full_preact")]),
}


def many(form: str, depths: int, *, alike: bool) -> list[Cell]:
    """Make cells that differ in form and depth, and also in their learning rate if they are not alike."""
    make, kinds = FORMS[form]
    made = []
    for place in range(MANY):
        depth = 200 + place // len(kinds) % depths
        made.append(make(str(place), [1.0], depth=depth, **kinds[place % len(kinds)]))
        made[-1].trials[0].row["recipe.lr"] = 0.1 if alike else 1 + place
    return made


@pytest.mark.parametrize(("depths", "alike"), [(MANY, True), (MANY, False), (2, False)])
@pytest.mark.parametrize("form", FORMS)
def test_the_work_on_many_cells_grows_with_their_pairs_and_not_faster(
    form: str, depths: int, alike: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = many(form, depths, alike=alike)
    known = {id(cell): cell.settings for cell in cells}
    reads = 0

    def read(cell: Cell) -> dict[str, Any]:
        nonlocal reads
        reads += 1
        assert reads <= 3 * MANY**2  # two reads for each pair, in either order, and some for each cell
        return known[id(cell)]

    monkeypatch.setattr(Cell, "settings", property(read))
    for contrast in CONTRASTS.values():
        reads = 0
        found = contrast(cells)
        assert alike or not found
        contrast.obstacle(cells)


def test_gains_of_which_every_cell_has_its_own_training_name_two_of_one_depth() -> None:
    contrast = CONTRASTS["gain by pre-activation, greatest depth against least"]
    reason = contrast.obstacle(many("activations", 2, alike=False))
    assert reason == "1 and 0 differ in recipe.lr (2, 1)"


def test_every_contrast_serves_a_claim() -> None:
    assert {test.contrast for claim in CLAIMS.values() for test in claim.tests} == set(CONTRASTS)
