"""How often a verdict on means is wrong, by the number of seeds and the shape of their errors.

Welch's test assumes that errors are normal over seeds. If errors are skewed and their spreads differ, none of the tests
that were tried keeps its level with few seeds (docs/decisions.md). Reports therefore print the actual rates of wrong
verdicts. The figures are from tests/perf/verdict_rates.py (10,000 sweeps each): each is the largest over spreads of
ratio 1 : 1, 1 : 5 and 1 : 20, at the upper end of its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

Rates = Mapping[int, Mapping[str, float]]
"""Seeds per cell -> shape of the errors -> percent of sweeps with a wrong verdict."""


class Design(StrEnum):
    """The comparisons behind a verdict. With more comparisons, skewed errors are more likely to mislead one of them."""

    TWO_MEANS = "two means"
    FOUR_MEANS = "a gap between gaps"
    PUBLISHED = "a published mean"
    UP_TO_3 = "up to 3 comparisons"
    UP_TO_15 = "up to 15 comparisons"


WRONG_PCT: Mapping[Design, Rates] = {
    Design.TWO_MEANS: {
        2: {"normal": 6.6, "exponential": 11.2, "lognormal": 12.5},
        3: {"normal": 6.5, "exponential": 12.7, "lognormal": 17.9},
        5: {"normal": 6.0, "exponential": 12.5, "lognormal": 18.5},
        10: {"normal": 5.5, "exponential": 10.4, "lognormal": 16.5},
    },
    Design.FOUR_MEANS: {
        2: {"normal": 8.2, "exponential": 12.9, "lognormal": 13.8},
        3: {"normal": 7.0, "exponential": 13.8, "lognormal": 18.0},
        5: {"normal": 5.7, "exponential": 12.6, "lognormal": 19.4},
        10: {"normal": 5.8, "exponential": 10.3, "lognormal": 16.1},
    },
    Design.PUBLISHED: {
        2: {"normal": 0.0, "exponential": 0.1, "lognormal": 0.0},
        3: {"normal": 2.1, "exponential": 8.6, "lognormal": 8.3},
        5: {"normal": 3.8, "exponential": 12.5, "lognormal": 17.2},
        10: {"normal": 1.0, "exponential": 4.8, "lognormal": 6.5},
    },
    Design.UP_TO_3: {
        2: {"normal": 4.2, "exponential": 12.9, "lognormal": 15.0},
        3: {"normal": 4.1, "exponential": 17.6, "lognormal": 25.0},
        5: {"normal": 3.3, "exponential": 20.2, "lognormal": 31.4},
        10: {"normal": 2.9, "exponential": 16.7, "lognormal": 30.0},
    },
    Design.UP_TO_15: {
        2: {"normal": 7.0, "exponential": 17.8, "lognormal": 21.5},
        3: {"normal": 5.8, "exponential": 32.3, "lognormal": 42.5},
        5: {"normal": 4.8, "exponential": 41.1, "lognormal": 60.7},
        10: {"normal": 4.0, "exponential": 37.4, "lognormal": 63.9},
    },
}
"""Percent of sweeps with a wrong verdict, if no mean differs from another, or if the mean misses the published one by
exactly the margin."""


def wrong_pct(design: Design, seeds: int) -> Mapping[str, float]:
    """Return the rates for the largest simulated number of seeds that is not above `seeds`, which is 2 or more."""
    rates = WRONG_PCT[design]
    return rates[max(n for n in rates if n <= seeds)]


def design_of(comparisons: int, means: int, *, published: bool) -> Design | None:
    """Return the simulated design that matches a verdict; None if it has more comparisons than any design.

    Args:
        comparisons: number of comparisons behind the verdict.
        means: number of means in the comparison that decides.
        published: whether one of these means is a published one.
    """
    if comparisons > 15:
        return None
    if comparisons > 1:
        return Design.UP_TO_3 if comparisons <= 3 else Design.UP_TO_15
    if published:
        return Design.PUBLISHED
    return Design.FOUR_MEANS if means == 4 else Design.TWO_MEANS
