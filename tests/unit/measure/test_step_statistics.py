"""Speed and its interval, against hand computations and the interval's stated coverage."""

import numpy as np
import pytest

from harness.measure.steps import mean_interval, speed_of


def test_speed_is_all_images_over_all_time_and_not_a_mean_of_rates():
    """10 images in 1 s and 10 in 3 s are 20 in 4 s: 5 a second, where the rates' mean would be 6.67."""
    speed = speed_of(np.array([1.0, 3.0]), images_per_step=10)
    assert speed.images_per_s == 5
    assert (speed.steps, speed.low, speed.high) == (2, None, None)


def test_percentiles_are_those_of_the_steps_in_milliseconds():
    speed = speed_of(np.arange(1, 102) / 1e3, images_per_step=1)
    assert (speed.step_ms_p50, speed.step_ms_p95) == pytest.approx((51, 96))


def test_steps_that_all_take_equally_long_leave_no_doubt():
    speed = speed_of(np.full(100, 0.5), images_per_step=8)
    assert (speed.low, speed.images_per_s, speed.high) == pytest.approx((16, 16, 16))


def test_there_is_no_speed_without_steps_and_no_interval_below_twenty():
    assert speed_of(np.array([]), images_per_step=1) is None
    assert mean_interval(np.ones(19)) is None
    assert mean_interval(np.ones(20)) is not None


def test_the_same_steps_give_the_same_interval():
    seconds = np.random.default_rng(1).gamma(4, size=300)
    assert mean_interval(seconds) == mean_interval(seconds)


def test_a_single_slow_spell_widens_the_interval_more_than_the_same_steps_strewn():
    strewn = np.ones(400)
    strewn[::20] = 3
    assert np.ptp(mean_interval(np.sort(strewn))) > 2 * np.ptp(mean_interval(strewn))


@pytest.mark.parametrize("dependence", [0.0, 0.7])
def test_the_interval_holds_the_true_mean_about_as_often_as_it_says(dependence):
    """Step times around 1, each depending on the one before it (an AR(1) process): 95 % stated, 400 simulated runs."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        noise = rng.normal(size=600)
        for i in range(1, len(noise)):
            noise[i] += dependence * noise[i - 1]
        low, high = mean_interval(1 + 0.05 * noise[200:])
        held += low <= 1 <= high
    assert 0.88 <= held / 400 <= 0.98
