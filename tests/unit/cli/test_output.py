"""Numbers and tables for people."""

from __future__ import annotations

import io

import pytest

from harness.cli.output import DASH, emit, si, stanzas, table


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (7, "7"),
        (0.25, "0.25"),
        (999, "999"),
        (999.6, "1.00 k"),
        (1000, "1.00 k"),
        (6_071_936, "6.07 M"),
        (40_551_168, "40.6 M"),
        (999_400_000, "999 M"),
        (999_600_000, "1.00 G"),
        (12_722_011_545_600, "12.7 T"),
        (3e21, "3000 E"),
        (None, DASH),
    ],
)
def test_a_large_number_has_three_digits_and_a_prefix(value: float | None, text: str) -> None:
    assert si(value) == text


def test_the_prefix_belongs_to_the_unit() -> None:
    assert (si(12.7e12, "FLOP"), si(0, "FLOP")) == ("12.7 TFLOP", "0 FLOP")


def test_a_table_aligns_numbers_right_and_text_left_and_shows_the_unknown_as_a_dash() -> None:
    text = table(("name", "params", " macs"), [("a", 1234567, "1 M"), ("long name", 5, None)])
    assert text.splitlines() == [
        "name          params  macs",
        "a          1,234,567   1 M",
        f"long name          5     {DASH}",
    ]


def test_a_paragraph_begins_with_the_first_value() -> None:
    records = [{"model": "x", "axes": "depth"}, {"model": "y", "axes": ""}]
    assert stanzas(records) == f"x\n  axes: depth\n\ny\n  axes: {DASH}"


def test_a_terminal_without_unicode_gets_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding="ascii"))
    emit(f"{DASH} é")
    assert written.getvalue() == b"? ?\n"
