"""The search for alike cells: reasons why there are none, and the work on many cells."""

from __future__ import annotations

from typing import Any

import pytest

from reports.claims.contrasts import CONTRASTS
from reports.claims.verdicts import Ruling
from reports.stats.cells import Cell
from reports.testing.synthetic_cells import cifar, imagenet
from tests.unit.reports.claims.allowed_differences import DEEP, MAY_DIFFER
from tests.unit.reports.claims.conftest import PLAIN, RESNET_110, judged_rows, rows_of, shipped


def test_a_claim_that_finds_no_alike_cells_says_in_what_the_nearest_differ() -> None:
    found = judged_rows(
        "plain-degrades-with-depth", rows_of(PLAIN % ("{name: quick, epochs: 6}", "{name: quick, epochs: 1}"))
    )
    assert found.ruling is Ruling.NOT_RUN
    assert found.reason == "plain-8 and plain-14 differ in recipe.epochs (6, 1)"


def test_the_nearest_of_several_cells_are_those_that_differ_in_the_fewest_settings() -> None:
    shallow, middle, deep = (shipped("digits")[label] for label in ("plain-8", "plain-20", "plain-44"))
    middle = {**middle, "recipe.lr": 0.2}
    deep = {**deep, "recipe.lr": 0.3, "recipe.nesterov": True}
    reason = judged_rows("plain-degrades-with-depth", [shallow, middle, deep]).reason
    assert reason == "plain-8 and plain-20 differ in recipe.lr (0.1, 0.2)"


def test_many_differences_are_counted_and_not_listed() -> None:
    rows = rows_of(
        PLAIN % ("quick", "{name: quick, epochs: 1, lr: 0.2, momentum: 0, weight_decay: 0, schedule: constant}")
    )
    assert judged_rows("plain-degrades-with-depth", rows).reason == (
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
    found = judged_rows(claim, rows_of(RESNET_110 % axes))
    assert (found.ruling, found.reason) == (Ruling.NOT_RUN, reason)


def test_a_third_option_that_was_trained_otherwise_is_the_reason_why_three_are_not_compared() -> None:
    rows = [shipped("he2015-imagenet")[f"resnet-34-{option}"] for option in "ABC"]
    rows[2] = {**rows[2], "recipe.epochs": 5}
    assert (
        judged_rows("options-in-order", rows).reason == "resnet-34-C and resnet-34-B differ in recipe.epochs (5, none)"
    )


def test_gains_whose_trainings_differ_between_depths_say_so() -> None:
    rows = [shipped(DEEP)[label] for label in MAY_DIFFER["preactivation-gains-with-depth"][1]]
    rows[2:] = [{**row, "recipe.lr": 0.2} for row in rows[2:]]
    assert "differ in recipe.lr (0.1, 0.2)" in judged_rows("preactivation-gains-with-depth", rows).reason


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
