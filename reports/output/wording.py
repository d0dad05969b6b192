"""The text of numbers and verdicts, in one place: no locale, and a dash for an unknown value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

from harness.schema import METRICS
from reports.claims.assurance import design_of, wrong_pct
from reports.claims.kinds import KINDS, Basis
from reports.claims.measurement import Comparison, Side
from reports.claims.verdicts import Ruling, Verdict
from reports.stats.cells import Trial
from reports.stats.inference import Estimate, unseen_share

DASH = "—"
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


def duration(seconds: float | None) -> str:
    """Format a duration: 12.3 s, 4 min 05 s, 3 h 20 min."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
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


def counted(number: int, noun: str) -> str:
    """Format a number with its noun: 1 trial, 2 trials."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(parts: Sequence[str]) -> str:
    """Join parts: A, B and C."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


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


def sample_size(n: int | str) -> str:
    """Format `n = 3` without a line break inside."""
    return f"n{NBSP}={NBSP}{n}"


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


def verdict_line(verdict: Verdict) -> str:
    """Return statement, verdict, effect with interval, and n on one line."""
    return f"{verdict.claim.brief}: {verdict.ruling}{line_after_ruling(verdict)}"


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


def capital(text: str) -> str:
    """Make the first letter a capital."""
    return text[:1].upper() + text[1:]


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


def _depth(depth: int | None) -> str:
    return DASH if depth is None else str(depth)
