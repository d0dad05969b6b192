"""How often a verdict on means is wrong, by the number of seeds and the shape of their errors.

Welch's test assumes that errors are normal over seeds. With few seeds none of the tests that were tried keeps its level
for skewed errors whose spreads differ (docs/decisions.md), so the reader of a verdict is told what holds instead. The
figures are those of tests/perf/verdict_rates.py: the largest of spreads alike, 1 : 5 and 1 : 20.
"""

from __future__ import annotations

from collections.abc import Mapping

WRONG_PCT: Mapping[int, Mapping[str, float]] = {
    2: {"normal": 6.5, "exponential": 11.0, "lognormal": 13.0},
    3: {"normal": 6.5, "exponential": 12.5, "lognormal": 17.5},
    5: {"normal": 6.0, "exponential": 12.5, "lognormal": 19.0},
    10: {"normal": 5.5, "exponential": 10.5, "lognormal": 16.5},
}
"""Seeds a cell -> shape of the errors -> percent of sweeps with a wrong verdict, where no cell differs from another."""


def wrong_pct(seeds: int) -> Mapping[str, float]:
    """The figures for the next smaller number of seeds that was simulated; `seeds` is 2 or more."""
    return WRONG_PCT[max(n for n in WRONG_PCT if n <= seeds)]
