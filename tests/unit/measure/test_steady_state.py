"""Detection of a warm run and of a steady state: by hand, and on simulated steps."""

import numpy as np
import pytest

from harness.measure.steady_state import WarmUp, drift_of


def simulated(rng, steps: int, dependence: float) -> np.ndarray:
    """Return seconds around 1, each depending on the one before it (an AR(1) process)."""
    noise = 0.05 * rng.normal(size=steps + 100)
    for i in range(1, len(noise)):
        noise[i] += dependence * noise[i - 1]
    return 1 + noise[100:]


def test_a_run_is_warm_when_two_windows_in_a_row_are_within_5_pct_of_the_one_before():
    """3.00 -> 2.00 -> 1.04 -> 1.00 -> 0.96: the last two changes are -3.8 % and -4.0 %."""
    rule = WarmUp()
    medians = [3.00, 2.00, 1.04, 1.00, 0.96]
    assert [rule.is_steady(medians[:count]) for count in range(6)] == [False] * 5 + [True]


def test_one_quiet_window_between_two_loud_ones_is_not_warm():
    assert not WarmUp().is_steady([1.0, 1.0, 2.0])
    assert not WarmUp().is_steady([1.0, 2.0, 2.0])
    assert WarmUp().is_steady([1.0, 2.0, 2.0, 2.0])


def test_drift_is_the_first_fifth_over_the_second_half():
    """100 steps: 20 of 1.1 s, 30 of 5 s that do not count here, 50 of 1 s: 10 % slower in the beginning."""
    seconds = np.concatenate([np.full(20, 1.1), np.full(30, 5.0), np.full(50, 1.0)])
    drift = drift_of(seconds)
    assert drift.pct == pytest.approx(10)
    assert not drift.is_steady


def test_equal_steps_have_settled_and_few_steps_cannot_tell():
    assert drift_of(np.ones(50)).is_steady
    assert drift_of(np.ones(49)) is None


def test_one_long_pause_is_no_drift():
    seconds = simulated(np.random.default_rng(0), 200, 0.0)
    seconds[7] = 30.0
    assert drift_of(seconds).is_steady


@pytest.mark.parametrize("dependence", [0.0, 0.7])
def test_a_run_that_did_not_change_is_seldom_marked(dependence):
    rng = np.random.default_rng(0)
    marked = sum(not drift_of(simulated(rng, 200, dependence)).is_steady for _ in range(400))
    assert marked <= 0.05 * 400


@pytest.mark.parametrize("dependence", [0.0, 0.7])
def test_a_run_whose_first_fifth_is_30_pct_slower_is_marked(dependence):
    rng = np.random.default_rng(1)
    marked = 0
    for _ in range(200):
        seconds = simulated(rng, 200, dependence)
        seconds[:40] *= 1.3
        marked += not drift_of(seconds).is_steady
    assert marked >= 0.95 * 200
