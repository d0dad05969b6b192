"""How often a verdict on means is wrong, by the number of seeds and the shape of their errors.

Welch's test assumes that errors are normal over seeds. With few seeds none of the tests that were tried keeps its level
for skewed errors whose spreads differ (docs/decisions.md), so the reader of a verdict is told what holds instead. The
figures are from tests/perf/verdict_rates.py (10,000 sweeps each): the largest of spreads alike, 1 : 5 and 1 : 20, at
the upper end of its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Mapping

WRONG_PCT: Mapping[int, Mapping[str, float]] = {
    2: {"normal": 6.6, "exponential": 11.2, "lognormal": 12.5},
    3: {"normal": 6.5, "exponential": 12.7, "lognormal": 17.9},
    5: {"normal": 6.0, "exponential": 12.5, "lognormal": 18.5},
    10: {"normal": 5.5, "exponential": 10.4, "lognormal": 16.5},
}
"""Seeds a cell -> shape of the errors -> percent of sweeps with a wrong verdict, where no cell differs from another."""


def wrong_pct(seeds: int) -> Mapping[str, float]:
    """The figures for the next smaller number of seeds that was simulated; `seeds` is 2 or more."""
    return WRONG_PCT[max(n for n in WRONG_PCT if n <= seeds)]
