"""The learning rate of every step, against tables written by hand."""

import pytest

from workloads.recipes import RECIPES, Recipe


def rates(recipe: Recipe, steps: int) -> list[float]:
    return [recipe.lr_at(step, steps) for step in range(steps)]


def test_the_rate_climbs_in_the_warm_up_and_then_falls_linearly_to_zero():
    recipe = Recipe(epochs=1, batch_size=1, lr=0.8, schedule="linear", warmup_fraction=0.2)
    assert rates(recipe, 10) == pytest.approx([0.4, 0.8, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_a_linear_schedule_without_warm_up_starts_at_the_highest_rate():
    recipe = Recipe(epochs=1, batch_size=1, lr=0.4, schedule="linear")
    assert rates(recipe, 4) == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_a_constant_schedule_stays_after_its_warm_up():
    recipe = Recipe(epochs=1, batch_size=1, lr=0.3, schedule="constant", warmup_fraction=0.5)
    assert rates(recipe, 6) == pytest.approx([0.1, 0.2, 0.3, 0.3, 0.3, 0.3])


def test_the_quick_recipe_on_digits_peaks_at_the_66th_of_264_steps():
    recipe = RECIPES["quick"]
    table = rates(recipe, 264)
    assert (table[0], table[65], table[66]) == pytest.approx((0.1 / 66, 0.1, 0.1))
    assert (table[165], table[263]) == pytest.approx((0.05, 0.1 / 198))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("lr", 0.0),
        ("warmup_fraction", 1.0),
        ("momentum", 1.0),
        ("weight_decay", -1.0),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_by_the_field_at_fault(field, value):
    with pytest.raises(ValueError, match=f"{field} is {value}"):
        Recipe(**{"epochs": 1, "batch_size": 1, "lr": 0.1, field: value})
