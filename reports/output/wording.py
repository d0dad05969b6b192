"""How numbers and verdicts read: one place, no locale, a dash for what is not known."""

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
    """A fixed number of decimals, with a real minus sign, and never a negative zero."""
    if value is None:
        return DASH
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def signed(value: float | None, digits: int = 2) -> str:
    """As `decimal`, with a plus sign where it is positive."""
    text = decimal(value, digits)
    return f"+{text}" if value is not None and float(f"{value:.{digits}f}") > 0 else text


def whole(value: float | None) -> str:
    """A count with thin groups: 1,727,962."""
    return DASH if value is None else f"{value:,.0f}".replace("-", MINUS)


def millions(value: float | None) -> str:
    """In millions, three digits that matter: 40.6 M, 0.272 M."""
    if value is None:
        return DASH
    return f"{value / 1e6:,.{2 if value >= 1e7 else 3}f}"


def rate(value: float | None) -> str:
    """Images per second: decimals only where they matter."""
    return DASH if value is None else f"{value:,.{1 if value < 100 else 0}f}"


def rate_with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """`2,431 [2,410, 2,452]`, as far as it is known."""
    return rate(value) if low is None or high is None else f"{rate(value)} [{rate(low)},{NBSP}{rate(high)}]"


def money(value: float | None) -> str:
    """Cents where there are any to speak of, else three digits that matter: 12.40, 0.00231."""
    if value is None:
        return DASH
    return f"{value:,.2f}" if value >= 1 or value == 0 else f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """12.3 s, 4 min 05 s, 3 h 20 min."""
    if seconds is None:
        return DASH
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def moment(milliseconds: int | None) -> str:
    """A moment in UTC, to the second."""
    if milliseconds is None:
        return DASH
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(milliseconds))
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")


def interval(low: float | None, high: float | None, digits: int = 2) -> str:
    """[1.23, 4.56], which no line break parts, or nothing."""
    return "" if low is None or high is None else f"[{decimal(low, digits)},{NBSP}{decimal(high, digits)}]"


def with_interval(estimate: Estimate, digits: int = 2) -> str:
    """Mean and interval, as far as they are known."""
    return f"{decimal(estimate.mean, digits)} {interval(estimate.low, estimate.high, digits)}".rstrip()


STATUSES = {"running": "is still running", "failed": "has failures", "stopped": "was stopped", "finished": "has ended"}


def incomplete(status: str, trials: Sequence[Trial]) -> str:
    """What a reader must know first of a sweep that is not whole; empty for one that is."""
    done = sum(trial.is_result for trial in trials)
    if status == "finished" and done == len(trials):
        return ""
    return (
        f"{done} of {counted(len(trials), 'trial')} have a result; the sweep {STATUSES.get(status, f'is {status}')}. "
        "Means, intervals and verdicts rest on those alone."
    )


def counted(number: int, noun: str) -> str:
    """1 trial, 2 trials."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(parts: Sequence[str]) -> str:
    """A, B and C."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)


def compared(comparison: Comparison) -> str:
    """What is held against what: `A, depth 8 → 44`, `plain-44 against resnet-44-A`."""
    if comparison.trend:
        return f"{comparison.label}, depth {_depth(comparison.first.depth)} → {_depth(comparison.second.depth)}"
    return comparison.label if comparison.first.planned else f"{comparison.label} against {comparison.first.label}"


def effect(comparison: Comparison) -> str:
    """The difference with its interval and n: `+35.90 points [30.10, 41.70], n = 3+3`; of costs in percent."""
    if comparison.effect is None:
        return DASH
    if comparison.exact:
        return f"{difference(comparison)} multiply-accumulates"
    return f"{difference(comparison)}, {sample_sizes(comparison)}"


def difference(comparison: Comparison) -> str:
    """`+35.90 points [30.10, 41.70]`, or `+5.4 %` of a cost, which has no interval."""
    if comparison.exact:
        return DASH if comparison.effect is None else f"{signed(comparison.effect, 1)}{NBSP}%"
    if comparison.effect is None:
        return DASH
    return f"{signed(comparison.effect)} {comparison.unit} {interval(comparison.low, comparison.high)}".rstrip()


def sample_sizes(comparison: Comparison) -> str:
    """`n = 3+3`, the seeds of each cell that takes part."""
    return sample_size(seeds(comparison))


def seeds(comparison: Comparison) -> str:
    """`3+3`, the seeds of each cell that takes part."""
    return "+".join(str(side.estimate.n) for side in comparison.sides if side.planned)


def side_values(side: Side, digits: int = 2) -> str:
    """A side's mean and every value behind it: `plain-8: 0.38 (0.30, 0.58, 0.26)`."""
    if not side.planned:
        return side.label
    if not side.values:
        return f"{side.label}: {DASH}" if side.estimate.mean is None else f"{side.label}: {whole(side.estimate.mean)}"
    values = ", ".join(decimal(value, digits) for value in side.values)
    return f"{side.label}: {decimal(side.estimate.mean, digits)} ({values})"


def sample_size(n: int | str) -> str:
    """`n = 3`, which no line break parts."""
    return f"n{NBSP}={NBSP}{n}"


def trend(comparison: Comparison) -> str:
    """The means along depth and how often they rise: `0.19 → 3.20 → 22.41 %, rising at 2 of 2 steps`."""
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
    """The comparison that decides a verdict: the surest one against a claim that is contradicted, else the least sure.

    One that could not be tested leaves its claim open, so it comes before all that could. Where two are equally sure,
    as two counts are, it is the one that lies worse for the claim.
    """
    measured = [comparison for comparison in verdict.comparisons if comparison.effect is not None]
    if verdict.ruling is Ruling.INCONCLUSIVE and len(measured) < len(verdict.comparisons):
        return None  # what has no difference at all leaves the claim open
    return max(measured, key=partial(_weight, verdict), default=None)


def _weight(verdict: Verdict, comparison: Comparison) -> tuple[float, float]:
    assert comparison.effect is not None
    room = min(KINDS[comparison.test.kind].distances(comparison.effect, comparison.test.margin))
    if verdict.ruling is Ruling.CONTRADICTED:
        return (-2.0 if comparison.p_against is None else -comparison.p_against, -room)
    return (2.0 if comparison.p_for is None else comparison.p_for, -room)


def verdict_line(verdict: Verdict) -> str:
    """Statement, verdict, effect with interval, n: in one line."""
    return f"{verdict.claim.brief}: {verdict.ruling}{line_after_ruling(verdict)}"


def line_after_ruling(verdict: Verdict) -> str:
    """The end of a verdict's line: the difference that decides, then the reason."""
    shown = deciding(verdict)
    which = f"{_metric(verdict, shown)}{shown.label} " if shown is not None and len(verdict.comparisons) > 1 else ""
    measured = "" if shown is None else f", {which}{effect(shown)}"
    return f"{measured}; {verdict.reason}" if verdict.reason else measured


def verdict_detail(verdict: Verdict) -> str:
    """The evidence for a ruling in a few words: the difference that decides, then the reason."""
    shown = deciding(verdict)
    parts = []
    if shown is not None:
        which = "decided by one" if verdict.ruling in (Ruling.SUPPORTED, Ruling.CONTRADICTED) else "the least sure"
        among = f"{which} of {len(verdict.comparisons)}: " if len(verdict.comparisons) > 1 else ""
        parts.append(f"{among}{_metric(verdict, shown)}{compared(shown)}: {effect(shown)}")
    return "; ".join([*parts, verdict.reason] if verdict.reason else parts)


def assurance(verdict: Verdict) -> str:
    """How often such a verdict is wrong; empty where there is none, or where chance over seeds has no part in it."""
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
    """Each different assurance once, where verdicts are listed."""
    return list(dict.fromkeys(text for verdict in verdicts if (text := assurance(verdict))))


def capital(text: str) -> str:
    """The first letter made a capital."""
    return text[:1].upper() + text[1:]


def _metric(verdict: Verdict, comparison: Comparison) -> str:
    """`final test error, ` where a claim is about several."""
    return f"{METRICS[comparison.test.metric].label.lower()}, " if len(verdict.claim.metrics) > 1 else ""


def rule(verdict: Verdict) -> str:
    """What would support the claim, and how sure one must be."""
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
    """10 %."""
    return f"{value:g}{NBSP}%"


def points(value: float) -> str:
    """1 point, 2.5 points."""
    return f"{value:g} point" if value == 1 else f"{value:g} points"


def p_text(p_value: float | None) -> str:
    """Two digits that matter, and nothing finer than 0.0001: `p = 0.031`."""
    if p_value is None:
        return f"p {DASH}"
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def _depth(depth: int | None) -> str:
    return DASH if depth is None else str(depth)
