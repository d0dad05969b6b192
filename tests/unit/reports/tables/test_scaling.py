"""Scaling efficiency against calculations by hand and against Fieller's theorem."""

import math

import pytest

from reports.stats.cells import Cell, Trial
from reports.tables.scaling import Rate, ratio, scaling_lines
from reports.tables.step_parts import scaling_table


def timed(workers, batch, *rates, low=0.9, high=1.1, measure="throughput", device="TPU", **settings) -> Cell:
    def trial(seed, rate):
        row = {
            "measure": measure,
            "scale.workers": workers,
            "recipe.batch_size": batch,
            "machine.device_count": workers,
            "device.name": device,
            "speed/images_per_s": rate,
            "speed/images_per_s_low": rate * low,
            "speed/images_per_s_high": rate * high,
            **settings,
        }
        return Trial(trial_id=f"{workers}-{batch}-{seed}", seed=seed, outcome="finished", row=row)

    trials = tuple(trial(seed, rate) for seed, rate in enumerate(rates))
    return Cell(
        cell_id=f"{workers}-{batch}",
        label=f"workers={workers} batch_size={batch}",
        depth=None,
        shortcut=None,
        variant="",
        trials=trials,
    )


def shown(lines):
    return [
        (line.kind, [(point.workers, round(point.efficiency_pct.value, 6)) for point in line.points]) for line in lines
    ]


def test_strong_scaling_keeps_the_batch_and_weak_scaling_each_workers_share():
    """100 images/s alone; 150 on two with the same batch: 75 %; 180 on two with twice the batch: 90 %."""
    cells = [timed(1, 64, 100), timed(2, 64, 150), timed(2, 128, 180)]
    assert shown(scaling_lines(cells)) == [("strong", [(1, 100), (2, 75)]), ("weak", [(1, 100), (2, 90)])]


def test_the_smallest_number_of_workers_is_the_yardstick_even_if_it_is_not_one():
    """200 images/s on two are 100 each; 600 on eight are 75 each."""
    (line,) = scaling_lines([timed(8, 64, 600), timed(2, 64, 200)])
    assert shown([line]) == [("strong", [(2, 100), (8, 75)])]
    assert line.points[0].efficiency_pct.low is None


def test_what_differs_in_more_than_workers_makes_no_line():
    assert scaling_lines([timed(1, 64, 100), timed(2, 64, 150, device="GPU")]) == ()
    assert scaling_lines([timed(1, 64, 100), timed(2, 64, 150, **{"recipe.precision": "bf16"})]) == ()
    assert scaling_lines([timed(1, 64, 100), timed(2, 64, 150, measure="training")]) == ()


def test_an_interval_of_a_ratio_is_fiellers_where_both_are_symmetric():
    """Fieller (1954) for a = 150 +- 12 and b = 100 +- 5: (ab -+ sqrt(...)) / (b^2 - h_b^2), written out."""
    a, b, half_a, half_b = 150.0, 100.0, 12.0, 5.0
    under = (a * b) ** 2 - (a**2 - half_a**2) * (b**2 - half_b**2)
    expected = [(a * b + sign * math.sqrt(under)) / (b**2 - half_b**2) for sign in (-1, 1)]
    found = ratio(Rate(a, a - half_a, a + half_a), Rate(b, b - half_b, b + half_b))
    assert found.value == 1.5
    assert [found.low, found.high] == pytest.approx(expected)


def test_a_speed_without_doubt_leaves_the_others_doubt_scaled():
    assert ratio(Rate(50, 40, 65), Rate(10, 10, 10)) == pytest.approx((5, 4, 6.5))


def test_without_both_intervals_there_is_none():
    assert ratio(Rate(50, None, None), Rate(10, 9, 11)) == (5, None, None)
    assert ratio(Rate(50, 40, 60), Rate(10, 0, 20)) == (5, None, None)


def test_one_trial_brings_the_interval_of_its_steps_and_several_students():
    """Repeats of 90, 100, 110: mean 100, t(0.975, 2) = 4.3027, half-width 4.3027 x 10 / sqrt(3) = 24.84."""
    cells = [timed(1, 64, 100), timed(2, 64, 90, 100, 110)]
    one, three = scaling_lines(cells)[0].points
    assert one.images_per_s == pytest.approx((100, 90, 110))
    assert three.images_per_s == pytest.approx((100, 75.16, 124.84), abs=0.01)
    assert three.n == 3


def test_the_table_holds_every_point():
    rows = scaling_table(scaling_lines([timed(1, 64, 100), timed(2, 64, 150)])).rows
    assert [(row[1], row[2], row[6].split()[0]) for row in rows] == [
        ("strong", "1", "100.0"),
        ("strong", "2", "75.0"),
    ]
