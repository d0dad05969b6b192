"""Joules by counter and by power, and points at growing distances: against closed forms and hand computation."""

import math

import pytest

from harness.measure.energy import EnergyMeter
from harness.measure.windows import Windows


def fed(*readings):
    meter = EnergyMeter()
    for time_s, power_w, counter_j in readings:
        meter.add(time_s, power_w=power_w, counter_j=counter_j)
    return meter


def test_the_integral_of_power_and_the_counter_agree():
    """P(t) = 400 + 200 sin(t) has the integral 400 t + 200 (1 - cos t). At 10 Hz trapezoids err by under 0.1 %."""
    times = [tick / 10 for tick in range(301)]
    meter = fed(*((t, 400 + 200 * math.sin(t), 5e6 + 400 * t + 200 * (1 - math.cos(t))) for t in times))
    assert meter.source == "counter"
    assert meter.energy_j == pytest.approx(400 * 30 + 200 * (1 - math.cos(30)))
    assert meter.integral_j == pytest.approx(meter.energy_j, rel=1e-3)


def test_power_alone_gives_energy_by_trapezoids():
    """100 W for 1 s, rising to 300 W over the next 2 s: 100 + 400 J."""
    meter = fed((0, 100, None), (1, 100, None), (3, 300, None))
    assert (meter.source, meter.energy_j) == ("power", 500)


def test_the_counter_alone_will_do_and_a_reading_that_failed_is_bridged():
    meter = fed((0, None, 50), (1, None, None), (2, None, 80))
    assert (meter.source, meter.energy_j, meter.integral_j) == ("counter", 30, None)


def test_a_counter_that_starts_again_is_bridged_by_power():
    """10 J counted, then 100 W x 1 s around the reset, then 25 J counted."""
    meter = fed((0, 100, 1000), (1, 100, 1010), (2, 100, 5), (3, 100, 30))
    assert (meter.source, meter.energy_j, meter.resets) == ("counter", 135, 1)


def test_a_counter_that_wraps_never_gives_negative_or_absurd_energy():
    """A counter of 32 bits of millijoules ends at 4,294,967 J."""
    end_j = 2**32 / 1000
    meter = fed(*((t, 200, (end_j - 300 + 200 * t) % end_j) for t in range(4)))
    assert meter.resets == 1
    assert meter.energy_j == pytest.approx(600)


def test_without_power_nobody_knows_what_a_reset_hid():
    meter = fed((0, None, 1000), (1, None, 5), (2, None, 30))
    assert (meter.source, meter.energy_j, meter.resets) == (None, None, 1)


def test_a_counter_that_comes_late_or_ends_early_is_filled_by_power():
    assert fed((0, 100, None), (1, 100, 500), (2, 100, 590)).energy_j == 100 + 90
    assert fed((0, 100, 500), (1, 100, 590), (2, 100, None)).energy_j == 90 + 100


def test_seconds_that_neither_counter_nor_power_tells_are_known():
    """A counter covers any gap but the one around its reset, and the time before and after it."""
    assert fed((0, 100, 0), (1, None, None), (9, None, 900)).unread_s == 0
    assert fed((0, 100, 0), (1, 100, 100), (2, None, None), (10, None, None)).unread_s == 9
    assert fed((0, None, None), (5, None, None), (6, None, 10), (7, None, 20)).unread_s == 6
    assert fed((0, 100, 50), (4, None, None), (5, 100, 5), (6, 100, 105)).unread_s == 4
    assert fed((0, 100, None), (3, None, None), (4, 100, None)).unread_s == 3


@pytest.mark.parametrize("readings", [(), ((0, 100, 5),), ((0, None, None), (1, None, None))])
def test_what_nobody_told_is_unknown_and_not_zero(readings):
    assert (fed(*readings).energy_j, fed(*readings).source) == (None, None)


def test_a_window_holds_the_mean_of_what_was_read_in_it():
    windows = Windows(start_ms=0)
    for time_ms, value in ((0, 1.0), (999, 3.0), (1000, 10.0)):
        windows.add(time_ms, {"a": value})
    [first] = windows.take()
    assert (first.step, first.time_ms, first.values) == (0, 1000, {"a": 2.0})
    [last] = windows.take(all_of_it=True)
    assert (last.step, last.time_ms, last.values) == (1, 1000, {"a": 10.0})
    assert windows.take(all_of_it=True) == []


def test_windows_without_a_reading_are_not_there_and_keep_their_number():
    windows = Windows(start_ms=0)
    windows.add(100, {"a": 1.0})
    windows.add(5100, {"a": 2.0, "b": 4.0})
    found = windows.take(all_of_it=True)
    assert [(window.step, window.values) for window in found] == [(0, {"a": 1.0}), (5, {"a": 2.0, "b": 4.0})]


def test_an_hour_becomes_some_350_points_and_a_minute_60():
    """60 of 1 s, 60 of 2 s, ... 60 of 16 s fill 1,860 s; the other 1,740 s are 54 windows of 32 s and a part."""
    windows = Windows(start_ms=0)
    for second in range(3600):
        windows.add(1000 * second, {"a": float(second)})
        if second == 59:
            assert len(windows.take(all_of_it=False)) == 59
    assert 59 + len(windows.take(all_of_it=True)) == 300 + 55
