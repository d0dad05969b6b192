"""The text of numbers and verdicts, in one place: no locale, and a dash for an unknown value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from harness.schema import METRICS
from reports.claims.assurance import design_of, wrong_pct
from reports.claims.kinds import KINDS, Basis
from reports.claims.measurement import Comparison, Side
from reports.claims.verdicts import Ruling, Verdict
from reports.formatting import (
    DASH,
    NBSP,
    counted,
    decimal,
    interval,
    p_text,
    percent,
    points,
    sample_size,
    signed,
    whole,
)
from reports.stats.cells import Trial
from reports.stats.inference import unseen_share

STATUSES = {"running": "is still running", "failed": "has failures", "stopped": "was stopped", "finished": "has ended"}


def incomplete(status: str, trials: Sequence[Trial]) -> str:
    """Return the warning about an incomplete sweep; empty for a complete one."""
    done = sum(trial.is_result for trial in trials)
    if status == "finished" and done == len(trials):
        return ""
    return (
        f"{done} of {counted(len(trials), 'trial')} have a result; the sweep {STATUSES.get(status, f'is {status}')}. "
        "Means, intervals and verdicts rest on those alone."
    )


def compared(comparison: Comparison) -> str:
    """Name the compared sides: `A, depth 8 → 44`, `plain-44 against resnet-44-A`."""
    if comparison.trend:
        return f"{comparison.label}, depth {_depth(comparison.first.depth)} → {_depth(comparison.second.depth)}"
    return comparison.label if comparison.first.planned else f"{comparison.label} against {comparison.first.label}"


def effect(comparison: Comparison) -> str:
    """Format the difference with its interval and n: `+35.90 points [30.10, 41.70], n = 3+3`; for costs in percent."""
    if comparison.effect is None:
        return DASH
    if comparison.exact:
        return f"{difference(comparison)} multiply-accumulates"
    return f"{difference(comparison)}, {sample_sizes(comparison)}"


def difference(comparison: Comparison) -> str:
    """Format `+35.90 points [30.10, 41.70]`, or `+5.4 %` for a cost, which has no interval."""
    if comparison.exact:
        return DASH if comparison.effect is None else f"{signed(comparison.effect, 1)}{NBSP}%"
    if comparison.effect is None:
        return DASH
    return f"{signed(comparison.effect)} {comparison.unit} {interval(comparison.low, comparison.high)}".rstrip()


def sample_sizes(comparison: Comparison) -> str:
    """Format `n = 3+3`, the seeds of each cell in the comparison."""
    return sample_size(seeds(comparison))


def seeds(comparison: Comparison) -> str:
    """Format `3+3`, the seeds of each cell in the comparison."""
    return "+".join(str(side.estimate.n) for side in comparison.sides if side.planned)


def side_values(side: Side, digits: int = 2) -> str:
    """Format a side's mean and all its values: `plain-8: 0.38 (0.30, 0.58, 0.26)`."""
    if not side.planned:
        return side.label
    if not side.values:
        return f"{side.label}: {DASH}" if side.estimate.mean is None else f"{side.label}: {whole(side.estimate.mean)}"
    values = ", ".join(decimal(value, digits) for value in side.values)
    return f"{side.label}: {decimal(side.estimate.mean, digits)} ({values})"


def trend(comparison: Comparison) -> str:
    """Format the means along depth and how often they rise: `0.19 → 3.20 → 22.41 %, rising at 2 of 2 steps`."""
    if not comparison.trend:
        return DASH
    means = [side.estimate.mean for side in comparison.trend]
    known = [mean for mean in means if mean is not None]
    path = f"{' → '.join(map(decimal, means))} %" if known else DASH
    if len(known) < 3 or len(known) < len(means):
        return path
    rises = sum(after > before for before, after in pairwise(known))
    return f"{path}, rising at {rises} of {len(known) - 1} steps"


def deciding(verdict: Verdict) -> Comparison | None:
    """Return the deciding comparison: the surest one against a contradicted claim, else the least sure one for it.

    None if a comparison without any difference leaves the claim open. A comparison that could not be tested comes
    before all tested ones, because it leaves its claim open. If two are equally sure, as two counts are, the one that
    is worse for the claim decides.
    """
    measured = [comparison for comparison in verdict.comparisons if comparison.effect is not None]
    if verdict.ruling is Ruling.INCONCLUSIVE and len(measured) < len(verdict.comparisons):
        return None  # a comparison without a difference leaves the claim open
    return max(measured, key=partial(_weight, verdict), default=None)


def _weight(verdict: Verdict, comparison: Comparison) -> tuple[float, float]:
    assert comparison.effect is not None
    room = min(KINDS[comparison.test.kind].distances(comparison.effect, comparison.test.margin))
    if verdict.ruling is Ruling.CONTRADICTED:
        return (-2.0 if comparison.p_against is None else -comparison.p_against, -room)
    return (2.0 if comparison.p_for is None else comparison.p_for, -room)


def line_after_ruling(verdict: Verdict) -> str:
    """Return the end of a verdict's line: the deciding difference, then the reason."""
    shown = deciding(verdict)
    which = f"{_metric(verdict, shown)}{shown.label} " if shown is not None and len(verdict.comparisons) > 1 else ""
    measured = "" if shown is None else f", {which}{effect(shown)}"
    return f"{measured}; {verdict.reason}" if verdict.reason else measured


def verdict_detail(verdict: Verdict) -> str:
    """Return the evidence for a ruling in a few words: the deciding difference, then the reason."""
    shown = deciding(verdict)
    parts = []
    if shown is not None:
        which = "decided by one" if verdict.ruling in (Ruling.SUPPORTED, Ruling.CONTRADICTED) else "the least sure"
        among = f"{which} of {len(verdict.comparisons)}: " if len(verdict.comparisons) > 1 else ""
        parts.append(f"{among}{_metric(verdict, shown)}{compared(shown)}: {effect(shown)}")
    return "; ".join([*parts, verdict.reason] if verdict.reason else parts)


def assurance(verdict: Verdict) -> str:
    """State how often such a verdict is wrong; empty without a verdict, or if it does not depend on the seeds."""
    shown = deciding(verdict)
    if shown is None or verdict.ruling not in (Ruling.SUPPORTED, Ruling.CONTRADICTED):
        return ""
    basis = KINDS[shown.test.kind].basis
    if basis not in (Basis.SEEDS, Basis.PUBLISHED):
        return ""
    sides = [side.estimate.n for one in verdict.comparisons for side in one.sides if side.planned and side.estimate.n]
    seeds = min(sides)
    unseen = (
        f"Up to {percent(round(100 * unseen_share(seeds)))} of other seeds may be of a kind that none of these showed."
    )
    design = design_of(len(verdict.comparisons), len(shown.sides), published=basis is Basis.PUBLISHED)
    if shown.alike or design is None:
        return unseen
    wrong = {shape: percent(math.ceil(share)) for shape, share in wrong_pct(design, seeds).items()}
    return (
        f"With {counted(seeds, 'seed')} and {design}, a verdict is wrong in at most {wrong['normal']} of sweeps where "
        f"errors are normal over seeds, {wrong['exponential']} where exponential, {wrong['lognormal']} where lognormal."
        f" {unseen}"
    )


def assurances(verdicts: Sequence[Verdict]) -> list[str]:
    """Return each distinct assurance of the verdicts once."""
    return list(dict.fromkeys(text for verdict in verdicts if (text := assurance(verdict))))


def _metric(verdict: Verdict, comparison: Comparison) -> str:
    """Return `final test error, ` if a claim is about several metrics; empty otherwise."""
    return f"{METRICS[comparison.test.metric].label.lower()}, " if len(verdict.claim.metrics) > 1 else ""


def rule(verdict: Verdict) -> str:
    """State the condition that supports the claim, and the level of the test."""
    claim = verdict.claim
    unit = percent if all(comparison.exact for comparison in verdict.comparisons) else points
    rules = "; ".join(test.rule.format(margin=unit(test.margin)) for test in claim.tests)
    if unit is percent:
        return f"Supported if {rules} (counts, which know no chance)."
    sure = f"two-sided alpha {claim.alpha:g}"
    if verdict.p_holm is not None:
        sure += f"; {p_text(verdict.p_value)}, {p_text(verdict.p_holm)} after Holm over the report's claims"
    return f"Supported if {rules} ({sure})."


def _depth(depth: int | None) -> str:
    return DASH if depth is None else str(depth)
