"""Numbers, durations and lists as text: the same in every locale, and a dash for an unknown value.

This module imports nothing heavy, so that claims, reports and the command line can share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reports.stats.inference import Estimate

DASH = "\N{EM DASH}"
"""Sign for an unknown value."""
MINUS = "\N{MINUS SIGN}"
NBSP = "\N{NO-BREAK SPACE}"


def decimal(value: float | None, digits: int = 2) -> str:
    """Format with a fixed number of decimals and a real minus sign, without a negative zero."""
    if value is None:
        return DASH
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def signed(value: float | None, digits: int = 2) -> str:
    """Format like `decimal`, with a plus sign for positive values."""
    text = decimal(value, digits)
    return f"+{text}" if value is not None and float(f"{value:.{digits}f}") > 0 else text


def whole(value: float | None) -> str:
    """Format a count with grouped digits: 1,727,962."""
    return DASH if value is None else f"{value:,.0f}".replace("-", MINUS)


def millions(value: float | None) -> str:
    """Format in millions, with two decimals from ten millions on, else with three: 40.60, 0.272."""
    if value is None:
        return DASH
    return f"{value / 1e6:,.{2 if value >= 1e7 else 3}f}"


def rate(value: float | None) -> str:
    """Format images per second, with one decimal below 100."""
    return DASH if value is None else f"{value:,.{1 if value < 100 else 0}f}"


def rate_with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """Format `2,431 [2,410, 2,452]`, without the interval if it is not known."""
    return rate(value) if low is None or high is None else f"{rate(value)} [{rate(low)},{NBSP}{rate(high)}]"


def money(value: float | None) -> str:
    """Format zero and values from 1 on with two decimals, others with three significant digits: 12.40, 0.00231."""
    if value is None:
        return DASH
    return f"{value:,.2f}" if value >= 1 or value == 0 else f"{value:.3g}"


def duration(seconds: float | None, *, decimals: int = 1) -> str:
    """Format a duration: 12.3 s, 4 min 05 s, 3 h 20 min. The decimals are those of seconds below a minute."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{seconds:.{decimals}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def moment(milliseconds: int | None) -> str:
    """Format a moment in UTC, to the second."""
    if milliseconds is None:
        return DASH
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(milliseconds))
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """Format [1.23, 4.56] without a line break inside; empty if the interval is not known."""
    return "" if low is None or high is None else f"[{decimal(low, digits)},{NBSP}{decimal(high, digits)}]"


def with_interval(estimate: Estimate, digits: int = 2) -> str:
    """Format mean and interval, if they are known."""
    return f"{decimal(estimate.mean, digits)} {interval(estimate.low, estimate.high, digits)}".rstrip()


def counted(number: int, noun: str) -> str:
    """Format a number with its noun: 1 trial, 2 trials."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(parts: Sequence[str]) -> str:
    """Join parts: A, B and C."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def capital(text: str) -> str:
    """Make the first letter a capital."""
    return text[:1].upper() + text[1:]


def sample_size(n: int | str) -> str:
    """Format `n = 3` without a line break inside."""
    return f"n{NBSP}={NBSP}{n}"


def percent(value: float) -> str:
    """Format a percentage: 10 %."""
    return f"{value:g}{NBSP}%"


def points(value: float) -> str:
    """Format points: 1 point, 2.5 points."""
    return f"{value:g} point" if value == 1 else f"{value:g} points"


def p_text(p_value: float | None) -> str:
    """Format with two significant digits, and nothing below 0.0001: `p = 0.031`."""
    if p_value is None:
        return f"p {DASH}"
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"
