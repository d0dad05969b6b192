"""Numbers and durations as text."""

from __future__ import annotations

import pytest

from reports.formatting import DASH, MINUS, decimal, duration, listed, millions, signed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.6, "5 s"), (60, "1 min 00 s"), (200, "3 min 20 s"), (7800, "2 h 10 min"), (273_600, "76 h 00 min")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds, decimals=0) == text


def test_a_duration_below_a_minute_has_a_tenth_of_a_second_unless_another_precision_is_given() -> None:
    assert [duration(12.34), duration(12.34, decimals=0)] == ["12.3 s", "12 s"]


def test_an_unknown_number_is_a_dash() -> None:
    assert [decimal(None), signed(None), millions(None), duration(None)] == [DASH] * 4


def test_a_number_that_rounds_to_zero_has_no_sign() -> None:
    assert [decimal(-0.001), signed(0.001), signed(-1)] == ["0.00", "0.00", f"{MINUS}1.00"]


def test_a_list_ends_with_and() -> None:
    assert [listed([]), listed(["A"]), listed(["A", "B"]), listed(["A", "B", "C"])] == [
        "",
        "A",
        "A and B",
        "A, B and C",
    ]
