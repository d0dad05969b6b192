"""Rates at which a report's verdicts are wrong and at which they decide, over sweeps drawn with a known truth.

    python -m tests.perf.verdict_rates [--sweeps N] [--part K/M]

Prints the table of docs/statistics.md. The same N gives the same table, since the draws are seeded.
"""

from __future__ import annotations

import argparse

from reports.stats.inference import clopper_pearson_pct
from reports.testing.simulated import SCENARIOS, Rates, simulate

SEED = 20151210
TITLES = (
    "sweeps",
    "wrong verdict, %",
    "held so far, %",
    "interval holds the truth, %",
    "all right, %",
    "planned, %",
    "n",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=10_000)
    parser.add_argument("--part", default="1/1", help="the K-th of M parts of the scenarios, to run them side by side")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/"))
    print(row(TITLES), row(["---", *["---:"] * (len(TITLES) - 1)]), sep="\n", flush=True)
    for number, scenario in enumerate(SCENARIOS):
        if number % parts == part - 1:
            rates = simulate(
                scenario, arguments.sweeps // 5 if len(scenario.cells) > 9 else arguments.sweeps, SEED + number
            )
            print(row([scenario.name, *cells(rates)]), flush=True)


def cells(rates: Rates) -> list[str]:
    right = "-" if rates.decided is None else share(rates.decided, rates.sweeps)
    planned = "-" if rates.promised is None else f"{100 * rates.promised:.1f}"
    held, covered = f"{100 * rates.held:.1f}", f"{100 * rates.covered:.1f}"
    return [share(rates.wrong, rates.sweeps), held, covered, right, planned, f"{rates.sweeps:,}"]


def share(rate: float, of: int) -> str:
    """Return a rate in percent with its exact 95 % interval."""
    low, high = clopper_pearson_pct(round(rate * of), of, 0.95)
    return f"{100 * rate:.1f} [{low:.1f}, {high:.1f}]"


def row(texts: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(texts)} |"


if __name__ == "__main__":
    main()
