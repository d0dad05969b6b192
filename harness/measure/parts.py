"""Parts of a step's time, found by leaving out parts of the work, round after round.

Three variants of a step are timed in turn: `compute`, on one batch that stays on the device, each rank by itself;
`data`, on real batches, each rank by itself; `whole`, on real batches, with gradients averaged over all ranks. In a
round

    whole = compute of the slowest rank + data stall + exposed communication

The data stall is the time that real batches add for the slowest rank. Exposed communication is the time that averaging
adds to that. A wait for a slow rank does not count as communication, because the slowest rank sets all three. A share
may be a little below zero if there is nothing to measure. It is not corrected, and its interval shows how certain it
is.

Rounds come in pairs, which take the variants forwards and then backwards, so that a drift of the machine's speed
affects all variants equally. The interval is therefore computed from pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.measure.ranks import straggler
from harness.measure.steps import RESAMPLES

Seconds = NDArray[np.float64]
PHASES = ("forward", "backward", "optimizer")
NORMAL_QUANTILE = 1.959964
"""97.5 % quantile of the standard normal."""


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """The timed rounds, in seconds."""

    compute: Seconds
    """Steps alone on one batch: [rounds, ranks, steps]."""
    data: Seconds
    """Steps alone on real batches: [rounds, ranks, steps]."""
    whole: Seconds | None
    """Whole steps: [rounds, ranks, steps]; None with one worker, which has nobody to communicate with."""
    phases: Seconds | None
    """Phases of the `compute` steps: [rounds, ranks, steps, 3]; None if they cannot be separated."""


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of all rounds together with its 95 % interval; no interval if there is only one value or pair."""

    rounds: int
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a step."""

    compute_ms: float
    """Milliseconds of the slowest rank's step without data and communication, mean of the rounds."""
    data_ms: float
    """The same on real batches."""
    whole_ms: float
    phases_ms: dict[str, float]
    """Forward, backward, optimizer: means over all ranks; empty if they cannot be separated."""
    data_stall_pct: Share
    """Data stall in percent of the whole step."""
    communication_pct: Share | None
    """Exposed communication in percent of the whole step, without the part that backward hides. None with one
    worker."""
    straggler_pct: Share | None
    """`Straggler.spread_pct` on real batches. None with one worker."""
    slowest_rank: int | None


def parts_of(rounds: Rounds) -> Parts:
    """Compute the parts of a step from the rounds."""
    compute, data = _slowest(rounds.compute), _slowest(rounds.data)
    whole = data if rounds.whole is None else _slowest(rounds.whole)
    spreads = [found for seconds in rounds.data if (found := straggler(seconds)) is not None]
    overall = straggler(np.concatenate(list(rounds.data), axis=1))
    return Parts(
        compute_ms=_ms(compute),
        data_ms=_ms(data),
        whole_ms=_ms(whole),
        phases_ms={} if rounds.phases is None else dict(zip(PHASES, _phases_ms(rounds.phases), strict=True)),
        data_stall_pct=share_of(data - compute, whole),
        communication_pct=None if rounds.whole is None else share_of(whole - data, whole),
        straggler_pct=share(np.array([found.spread_pct for found in spreads])) if spreads else None,
        slowest_rank=None if overall is None else overall.rank,
    )


def share(values: Seconds) -> Share:
    """Return the mean of one value per round, with Student's interval."""
    count, mean = len(values), float(values.mean())
    if count < 2:
        return Share(rounds=count, value=mean, low=None, high=None)
    half = _t_quantile(count - 1) * float(values.std(ddof=1)) / math.sqrt(count)
    return Share(rounds=count, value=mean, low=mean - half, high=mean + half)


def share_of(part: Seconds, whole: Seconds) -> Share:
    """Return a part in percent of the whole: all rounds' seconds over all rounds' seconds, with its interval.

    The interval is from a block bootstrap, and the blocks are pairs of rounds. A mean of each round's ratio would be
    biased if rounds differ much. The interval is widened as Student's is wider than the normal one, and by the root of
    n / (n - 1): with few blocks it is too narrow by that much (Hesterberg 2015, section 3.2). It is drawn from a fixed
    seed.

    Args:
        part: seconds of each round, which may be below zero.
        whole: seconds of each round.
    """
    pairs = range(0, len(whole), 2)
    parts, wholes = np.add.reduceat(part, pairs), np.add.reduceat(whole, pairs)
    value, count = 100 * float(parts.sum() / wholes.sum()), len(wholes)
    if count < 2:
        return Share(rounds=len(whole), value=value, low=None, high=None)
    drawn = np.random.default_rng(0).integers(count, size=(RESAMPLES, count))
    low, high = np.quantile(100 * parts[drawn].sum(axis=1) / wholes[drawn].sum(axis=1), [0.025, 0.975])
    wider = _t_quantile(count - 1) / NORMAL_QUANTILE * math.sqrt(count / (count - 1))
    low, high = value - wider * (value - float(low)), value + wider * (float(high) - value)
    return Share(rounds=len(whole), value=value, low=low, high=high)


def _t_quantile(df: int) -> float:
    from scipy import special  # takes a moment to load, and training does not need it

    return float(special.stdtrit(df, 0.975))


def _slowest(seconds: Seconds) -> Seconds:
    """Return the mean step of each round's slowest rank: [rounds]."""
    found: Seconds = seconds.mean(axis=2).max(axis=1)
    return found


def _ms(seconds: Seconds) -> float:
    return 1e3 * float(seconds.mean())


def _phases_ms(seconds: Seconds) -> list[float]:
    means: list[float] = (1e3 * seconds.mean(axis=(0, 1, 2))).tolist()
    return means
