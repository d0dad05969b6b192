"""The learning rate of every step, against tables written by hand from the papers."""

import dataclasses
import re

import pytest

from workloads.recipes import RECIPES, Recipe
from workloads.schedule import START, WARMUP_CHECK_STEPS, Schedule, ScheduleState

CIFAR_STEPS = 390
"""Steps of an epoch: whole batches of 128 in 50,000 images."""
IMAGENET_STEPS = 5_004
"""Steps of an epoch: whole batches of 256 in 1,281,167 images."""
BASE = {"epochs": 1, "batch_size": 1, "lr": 0.1}


def rates(schedule: Schedule, state: ScheduleState = START) -> list[float]:
    return [schedule.lr_at(step, state) for step in range(schedule.steps)]


def table(*runs: tuple[int, float]) -> list[float]:
    """Return the rate of every step, from pairs of a number of steps and their rate."""
    return [rate for count, rate in runs for _ in range(count)]


def one_epoch(recipe: Recipe, steps: int) -> list[float]:
    return rates(Schedule(recipe, steps))


def test_the_rate_climbs_in_the_warm_up_and_then_falls_linearly_to_zero():
    recipe = Recipe(epochs=1, batch_size=1, lr=0.8, schedule="linear", warmup_fraction=0.2)
    assert one_epoch(recipe, 10) == pytest.approx([0.4, 0.8, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])


def test_a_linear_schedule_without_warm_up_starts_at_the_highest_rate():
    recipe = Recipe(epochs=1, batch_size=1, lr=0.4, schedule="linear")
    assert one_epoch(recipe, 4) == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_a_constant_schedule_stays_after_its_warm_up():
    recipe = Recipe(epochs=1, batch_size=1, lr=0.3, schedule="constant", warmup_fraction=0.5)
    assert one_epoch(recipe, 6) == pytest.approx([0.1, 0.2, 0.3, 0.3, 0.3, 0.3])


def test_the_quick_recipe_on_digits_peaks_at_the_66th_of_264_steps():
    climb = [0.1 * step / 66 for step in range(1, 67)]
    fall = [0.1 * left / 198 for left in range(198, 0, -1)]
    assert rates(Schedule(RECIPES["quick"], 22)) == pytest.approx(climb + fall)


def test_he2015_cifar_has_a_tenth_of_the_rate_from_32k_and_again_from_48k_of_64k_iterations():
    schedule = Schedule.of(RECIPES["he2015-cifar"], 50_000)
    assert rates(schedule) == pytest.approx(table((32_000, 0.1), (16_000, 0.01), (16_000, 0.001)))
    assert (schedule.steps_per_epoch, schedule.epochs, schedule.steps_in(163), schedule.steps_in(164)) == (
        CIFAR_STEPS,
        165,
        CIFAR_STEPS,
        40,
    )


def test_he2015_cifar_110_has_a_tenth_of_the_rate_until_the_training_error_is_below_80_percent():
    schedule = Schedule.of(RECIPES["he2015-cifar-110"], 50_000)
    state = START
    for step, error_pct in ((20, 90.1), (40, 80.0), (60, 79.9), (80, 85.0)):
        assert schedule.lr_at(step - 1, state) == 0.01
        state = schedule.check_warmup(state, step=step, error_pct=error_pct)
        if step >= 60:
            assert state.warm_from == 60
            break
    state = schedule.check_warmup(state, step=80, error_pct=85.0)
    after = table((32_000, 0.1), (16_000, 0.01), (16_000, 0.001))
    assert rates(schedule, state)[60:] == pytest.approx(after[60:])


def test_he2016_cifar_has_a_tenth_of_the_rate_for_400_iterations():
    schedule = Schedule.of(RECIPES["he2016-cifar"], 50_000)
    assert rates(schedule) == pytest.approx(table((400, 0.01), (31_600, 0.1), (16_000, 0.01), (16_000, 0.001)))


def test_he2016_cifar_64_is_the_released_code_with_drops_at_its_epochs_81_and_122_of_200():
    schedule = Schedule.of(RECIPES["he2016-cifar-64"], 50_000)
    assert rates(schedule) == pytest.approx(table((80 * 781, 0.1), (41 * 781, 0.01), (79 * 781, 0.001)))


def test_he2015_imagenet_drops_a_tenth_at_each_plateau_of_the_training_error():
    schedule = Schedule.of(RECIPES["he2015-imagenet"], 1_281_167)
    assert (schedule.steps_per_epoch, schedule.steps, schedule.epochs) == (IMAGENET_STEPS, 600_000, 120)
    # It falls for three epochs, then by less than the 0.1 points that count; five such epochs are a plateau.
    errors = [80.0, 60.0, 50.0, 49.95, 49.92, 50.2, 49.95, 49.91, 40.0, 40.5, 39.95, 40.0, 39.91, 39.92]
    state, seen = START, []
    for error_pct in errors:
        state = schedule.after_epoch(state, error_pct=error_pct)
        seen.append(schedule.lr_at(0, state))
    assert seen == pytest.approx(table((7, 0.1), (6, 0.01), (1, 0.001)))


def test_he2015_imagenet_steps_drops_each_150k_of_600k_iterations():
    schedule = Schedule.of(RECIPES["he2015-imagenet-steps"], 1_281_167)
    assert rates(schedule) == pytest.approx(table((150_000, 0.1), (150_000, 0.01), (150_000, 0.001), (150_000, 0.0001)))


def test_he2016_imagenet_drops_after_30_and_60_of_90_epochs():
    schedule = Schedule.of(RECIPES["he2016-imagenet"], 1_281_167)
    each = 30 * IMAGENET_STEPS
    assert rates(schedule) == pytest.approx(table((each, 0.1), (each, 0.01), (each, 0.001)))


def test_goyal2017_climbs_from_a_tenth_to_32_tenths_in_5_epochs_of_batches_of_8192():
    recipe = RECIPES["goyal2017-imagenet"].changed(batch_size=8192)
    schedule = Schedule.of(recipe, 1_281_167)
    steps = 156
    climb = [0.1 + 3.1 * step / (5 * steps) for step in range(5 * steps)]
    rest = table((25 * steps, 3.2), (30 * steps, 0.32), (20 * steps, 0.032), (10 * steps, 0.0032))
    assert schedule.steps_per_epoch == steps
    assert rates(schedule) == pytest.approx(climb + rest)


def test_goyal2017_on_batches_of_256_needs_no_climb_and_on_smaller_ones_starts_at_their_rate():
    of_256 = Schedule.of(RECIPES["goyal2017-imagenet"], 1_281_167)
    of_64 = Schedule.of(RECIPES["goyal2017-imagenet"].changed(batch_size=64, micro_batch_size=None), 1_281_167)
    assert set(rates(of_256)[: 30 * IMAGENET_STEPS]) == {0.1}
    assert (of_64.lr_at(0), of_64.peak_lr) == pytest.approx((0.025, 0.025))


@pytest.mark.parametrize("name", RECIPES)
def test_a_larger_batch_changes_the_rate_only_where_the_recipe_has_the_linear_scaling_rule(name):
    recipe = RECIPES[name]
    doubled = Schedule(recipe.changed(batch_size=2 * recipe.batch_size), 390)
    factor = 2 if name == "goyal2017-imagenet" else 1
    assert doubled.peak_lr == pytest.approx(factor * Schedule(recipe, 390).peak_lr)


def test_no_state_but_a_plateaus_or_a_warm_ups_changes_a_rate():
    for name in ("quick", "he2015-cifar", "he2016-cifar", "goyal2017-imagenet"):
        schedule = Schedule(RECIPES[name], CIFAR_STEPS)
        checked = schedule.after_epoch(START, error_pct=50.0)
        seen = schedule.check_warmup(checked, step=WARMUP_CHECK_STEPS, error_pct=1.0)
        assert seen == START


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("he2015-cifar", {"iterations": 100}, "lr_drop_iterations is [32000, 48000], but the training ends after 100"),
        ("he2015-cifar", {"iterations": 48_000}, "never comes"),
        ("he2015-cifar", {"epochs": 2}, "ends after 2 epochs, 780 iterations"),
        ("goyal2017-imagenet", {"epochs": 80}, "lr_drop_epochs is [30, 60, 80]"),
        ("goyal2017-imagenet", {"warmup_epochs": 31}, "warmup_epochs 31 ends after the first drop"),
        ("he2016-cifar", {"warmup_iterations": 64_000}, "warmup_iterations 64000 is as long as the training"),
    ],
)
def test_a_schedule_that_ends_before_it_starts_is_refused(name, changes, said):
    with pytest.raises(ValueError, match=r"the training|first drop") as caught:
        Schedule(RECIPES[name].changed(**changes), CIFAR_STEPS)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": None}, "epochs or iterations"),
        ({"iterations": 5}, "one length"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"micro_batch_size": 0}, "micro_batch_size is 0"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"lr_scaling_images": 0}, "lr_scaling_images is 0"),
        ({"schedule": "steps"}, "needs lr_drop_epochs or lr_drop_iterations"),
        ({"lr_drop_epochs": (3,)}, "schedule linear has none"),
        ({"schedule": "steps", "lr_drop_epochs": (3, 3)}, "must rise"),
        ({"schedule": "steps", "lr_drop_epochs": (0, 3)}, "must rise"),
        ({"schedule": "steps", "lr_drop_epochs": (3,), "lr_drop_iterations": (9,)}, "exclude each other"),
        ({"lr_drop_factor": 1.0}, "lr_drop_factor is 1.0"),
        ({"plateau_epochs": 0}, "plateau_epochs is 0"),
        ({"plateau_points": -1.0}, "plateau_points is -1.0"),
        ({"warmup_fraction": 1.0}, "warmup_fraction is 1.0"),
        ({"warmup_epochs": -1}, "warmup_epochs is -1"),
        ({"warmup_epochs": 1, "warmup_iterations": 1}, "exclude each other"),
        ({"warmup_until_error_pct": 101.0}, "warmup_until_error_pct is 101.0"),
        ({"warmup_until_error_pct": 80.0, "warmup_lr": 0.01}, "needs warmup_shape hold"),
        ({"warmup_lr": 0.01}, "there is no warm-up"),
        ({"warmup_shape": "hold", "warmup_epochs": 1}, "needs warmup_lr"),
        ({"momentum": 1.0}, "momentum is 1.0"),
        ({"momentum": 0.0, "nesterov": True}, "nesterov needs a momentum"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"classifier_std": -1.0}, "classifier_std is -1.0"),
    ],
)
def test_a_recipe_that_cannot_be_trained_is_refused_by_the_field_at_fault(changes, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Recipe(**{**BASE, **changes})


def test_a_length_in_the_other_unit_takes_the_place_of_the_recipes_own():
    assert RECIPES["quick"].changed(iterations=50).epochs is None
    assert RECIPES["he2015-cifar"].changed(epochs=170).iterations is None
    assert RECIPES["quick"].changed(lr=0.2) == dataclasses.replace(RECIPES["quick"], lr=0.2)


def test_the_papers_settings_are_theirs():
    """The settings are from He 2015, sections 3.4 and 4.2; He 2016, appendix; Goyal 2017, section 5.1."""
    for name, batch, decay_norm, nesterov in (
        ("he2015-cifar", 128, True, False),
        ("he2015-cifar-110", 128, True, False),
        ("he2016-cifar", 128, True, False),
        ("he2016-cifar-64", 64, True, True),
        ("he2015-imagenet", 256, True, False),
        ("he2016-imagenet", 256, True, False),
        ("goyal2017-imagenet", 256, False, True),
    ):
        recipe = RECIPES[name]
        found = (recipe.batch_size, recipe.weight_decay_norm, recipe.nesterov, recipe.momentum, recipe.weight_decay)
        assert found == (batch, decay_norm, nesterov, 0.9, 1e-4), name
