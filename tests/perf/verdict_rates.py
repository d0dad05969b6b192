"""How often a report's verdicts are wrong, and how often they decide, over sweeps drawn with a known truth.

    python tests/perf/verdict_rates.py [--sweeps N] [--part K/M]

Prints the table of docs/statistics.md. Exact for the same N: the draws are seeded.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from reports.simulated import SCENARIOS, simulate
from reports.statistics import clopper_pearson_pct

SEED = 20151210


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=10_000)
    parser.add_argument("--part", default="1/1", help="the K-th of M parts of the scenarios, to run them side by side")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/"))
    print("| sweeps | any wrong verdict, % | all right, % | n |\n| --- | ---: | ---: | ---: |", flush=True)
    for number, scenario in enumerate(SCENARIOS):
        if number % parts == part - 1:
            rates = simulate(scenario, arguments.sweeps, SEED + number)
            right = share(rates.decided, rates.sweeps) if scenario.right else "-"
            print(f"| {scenario.name} | {share(rates.wrong, rates.sweeps)} | {right} | {rates.sweeps:,} |", flush=True)


def share(rate: float, of: int) -> str:
    """With its exact 95 % interval."""
    low, high = clopper_pearson_pct(round(rate * of), of, 0.95)
    return f"{100 * rate:.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
