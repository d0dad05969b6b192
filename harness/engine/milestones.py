"""Times at which a trial's test error first reached each threshold of the ladder, on two clocks."""

from __future__ import annotations

from harness.schema import ERROR_LADDER_PCT, time_to_error

Milestones = dict[int, tuple[float, float]]
"""Threshold in percent -> seconds of training, and seconds of training and evaluation, until it was reached."""


def passed(milestones: Milestones, *, error_pct: float, train_s: float, evaluate_s: float) -> Milestones:
    """Add the thresholds that this error is the first to reach, after these seconds of training and evaluation."""
    clocks = (train_s, train_s + evaluate_s)
    new = {pct: clocks for pct in ERROR_LADDER_PCT if error_pct <= pct and pct not in milestones}
    return {**milestones, **new}


def as_results(milestones: Milestones) -> dict[str, float]:
    """Return the metrics of the thresholds that were reached. The others are censored, so they have no metric."""
    return {
        time_to_error(pct, evaluation=evaluation): clocks[evaluation]
        for pct, clocks in milestones.items()
        for evaluation in (False, True)
    }
