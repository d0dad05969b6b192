"""Compare two sweeps: is the second better, worse, or not detectably different?

Cells are paired by id, or else by label. Results from different hardware or software are compared only on request, and
then every line says so. If a side has several sweeps, they count as repeats of each other.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.schema import METRICS
from reports.compare.effects import (
    ALPHA,
    PAIRED,
    Effect,
    Measured,
    Source,
    SweepSpread,
    estimated,
    mean_effect,
    measure,
    measure_speed,
    measure_sweeps,
)
from reports.compare.matching import (
    Matched,
    Repeats,
    complete,
    differing,
    left,
    levels_of_sweeps,
    match,
    repeats_of,
    settings,
)
from reports.stats.cells import IMAGES, TEST_ERROR, TRAIN_ERROR, as_text, cells_of
from reports.stats.inference import holm
from reports.stats.summaries import SPEED

if TYPE_CHECKING:
    from harness.tracking.results import SweepResults

COMPARED = (TEST_ERROR, TRAIN_ERROR, SPEED)
ALL_CELLS = "all cells"
BETWEEN_PCT = 3.0
"""Default allowance for speed, in percent: the standard deviation between repeats of a whole sweep.

It was measured on two quiet virtual cores; docs/statistics.md explains how. Other machines need their own value.
"""
SHOWN = 4
MOST_VISIBLE_PCT, MOST_VISIBLE_POINTS = 900.0, 100.0
"""Largest visible differences that are shown, in percent of speed and in points of error. Above them, no difference
counts as detectable."""


class Change(StrEnum):
    """The change from the first sweep to the second, as far as a line can tell."""

    BETTER = "better"
    WORSE = "worse"
    REGRESSION = "worse beyond the margin"
    UNCLEAR = "unclear"
    NOTHING = "no detectable difference"
    SAME = "identical"
    UNTESTED = "not tested"
    LOST = "no value left"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One quantity of one cell on both sides. Errors differ in points, speeds in percent of the first side's."""

    cell: str
    metric: str
    first: float | None
    """The mean; for speeds the geometric mean."""
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    visible: float | None
    """The smallest difference that would have been detected, at 80 % power."""
    p_holm: float | None
    change: Change
    method: str
    n: str
    note: str = ""

    @property
    def unit(self) -> str:
        """Unit of the difference."""
        return "%" if self.metric == SPEED else "points"


@dataclass(frozen=True, kw_only=True)
class SweepComparison:
    """All lines, and the cells that could not be compared."""

    first: str
    """Name of the sweep; for several sweeps, their names separated by commas."""
    second: str
    sweeps: tuple[int, int]
    """Number of sweeps of the first and the second side."""
    margin: float
    between: SweepSpread
    across: tuple[str, ...]
    """Differences in hardware and software; empty if there are none."""
    settings: tuple[str, ...]
    """Differences in training between cells of the same name; empty if there are none."""
    lines: tuple[Line, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Line, ...]:
        """Lines in which the second side is worse by more than the margin."""
        return tuple(line for line in self.lines if line.change is Change.REGRESSION)

    @property
    def lost(self) -> tuple[Line, ...]:
        """Lines in which only the first side has values: the second side's trials failed or never ended."""
        return tuple(line for line in self.lines if line.change is Change.LOST)


def compare(
    first: Sequence[SweepResults],
    second: Sequence[SweepResults],
    *,
    margin: float = 0.0,
    between_pct: float | None = None,
    across: bool = False,
) -> SweepComparison:
    """Compare the second side with the first.

    Args:
        first: the earlier sweep, or several that repeat each other.
        second: the later sweep or sweeps.
        margin: points of error, or percent of speed, by which the second may be worse.
        between_pct: allowance for speed, the standard deviation between repeats of a whole sweep. None: estimate it
            from several sweeps, or use `BETWEEN_PCT` if each side is one sweep.
        across: also compare results from different hardware or software.

    Raises:
        UsageError: the sides have no cell in common, or ran on different hardware or software and `across` is not
            given, or two sweeps of a side share results.
    """
    for side in (first, second):
        _refuse_copies(side)
    names = [",".join(sweep.name for sweep in side) for side in (first, second)]
    cells_1, cells_2 = (repeats_of([cells_of(sweep) for sweep in side]) for side in (first, second))
    matched = match(cells_1, cells_2)
    if not matched:
        raise UsageError(_nothing_in_common(names, (cells_1, cells_2)))
    unlike = differing(matched)
    if unlike and not across:
        raise UsageError(_different_conditions(names, unlike))
    between = _between(matched, (len(first), len(second)), between_pct)
    return SweepComparison(
        first=names[0],
        second=names[1],
        sweeps=(len(first), len(second)),
        margin=margin,
        between=between,
        across=unlike,
        settings=settings(matched),
        lines=tuple(_lines(matched, margin, between)),
        only_first=left([one for one, _ in matched], cells_1),
        only_second=left([two for _, two in matched], cells_2),
    )


def _refuse_copies(side: Sequence[SweepResults]) -> None:
    """Refuse sweeps of one side that share results, because they do not show how much repeats differ."""
    for one, two in combinations(side, 2):
        if shared := _runs(one) & _runs(two):
            raise UsageError(
                f"{one.name} and {two.name} share results ({len(shared)} of {len(_runs(one))}), so neither repeats the "
                "other; name each sweep once, and repeat one with `harness run FILE --fresh`"
            )


def _runs(sweep: SweepResults) -> set[str]:
    return {as_text(run_id) for run_id in sweep.trials["run_id"]} - {""}


def _nothing_in_common(names: Sequence[str], cells: tuple[Sequence[Repeats], Sequence[Repeats]]) -> str:
    return (
        f"sweeps {names[0]} and {names[1]} have no cell in common: one has {_some(cells[0])}, the other "
        f"{_some(cells[1])}; name two sweeps of the same workload"
    )


def _different_conditions(names: Sequence[str], unlike: Sequence[str]) -> str:
    return (
        f"{names[0]} and {names[1]} ran under different conditions: {'; '.join(unlike)}. A difference could be theirs; "
        "--across-hardware compares all the same, and says so on every line"
    )


def _some(cells: Sequence[Repeats]) -> str:
    shown = ", ".join(cell.label for cell in cells[:SHOWN])
    return shown + (f" and {len(cells) - SHOWN} more" if len(cells) > SHOWN else "") if cells else "none"


def _between(matched: Matched, sweeps: tuple[int, int], given_pct: float | None) -> SweepSpread:
    if given_pct is None and sum(sweeps) > 2:
        return estimated(*levels_of_sweeps(complete(matched)))
    if given_pct is None:
        return SweepSpread(pct=BETWEEN_PCT, source=Source.DEFAULT, df=math.inf)
    return SweepSpread(pct=given_pct, source=Source.GIVEN, df=math.inf)


def _lines(matched: Matched, margin: float, between: SweepSpread) -> list[Line]:
    drafts: list[tuple[Line, Effect | None]] = []
    for metric in COMPARED:
        found = [
            (one, two, measured)
            for one, two in matched
            if (measured := _measured(one, two, metric, between)) is not None
        ]
        drafts += [(_draft(one, two, metric, measured), measured.effect) for one, two, measured in found]
        every = _of_all(matched, metric, [measured for *_, measured in found], between)
        if every is not None:
            line = _line(cell=ALL_CELLS, metric=metric, means=(None, None), measured=every, note=every.note)
            drafts.append((line, every.effect))
    return decided(drafts, margin)


def _measured(one: Repeats, two: Repeats, metric: str, between: SweepSpread) -> Measured | None:
    """Measure one metric of a pair of cells; None if neither side has a value."""
    if not one.seeds(metric) and not two.seeds(metric):
        return None
    if metric != SPEED:
        counts = one.constant(IMAGES[metric]), two.constant(IMAGES[metric])
        images = None if counts[0] is None or counts[1] is None else (int(counts[0]), int(counts[1]))
        return measure(one.errors(metric), two.errors(metric), images=images)
    if between.source is Source.ESTIMATED or between.pct is None:
        return measure_sweeps(one.levels(), two.levels())
    return measure_speed(one.speeds(), two.speeds(), between=between.pct / 100)


def _of_all(matched: Matched, metric: str, found: Sequence[Measured], between: SweepSpread) -> Measured | None:
    """Return the mean effect over cells; None if fewer than two can be tested."""
    if metric == SPEED and between.source is Source.ESTIMATED:
        whole = complete(matched)
        every = measure_sweeps(*levels_of_sweeps(whole))
        described = replace(every, method="mean over cells", n=f"{len(whole)} cells, {every.n}")
        return described if len(whole) > 1 else None
    tested = [measured for measured in found if measured.effect is not None]
    if len(tested) < 2:
        return None
    return Measured(
        effect=mean_effect([measured.effect for measured in tested if measured.effect is not None]),
        method="mean over cells",
        n=f"{len(tested)} cells",
        same=all(measured.same for measured in tested),
        note=_note_of_all(tested),
    )


def _note_of_all(tested: Sequence[Measured]) -> str:
    limits = [measured.note for measured in tested if measured.note]
    return f"in {len(limits)} of {len(tested)} cells {limits[0]}" if limits else ""


def _draft(one: Repeats, two: Repeats, metric: str, measured: Measured) -> Line:
    first, second = one.seeds(metric), two.seeds(metric)
    missing = [
        f"{unknown} {name} without a value"
        for name, side in (("A", one), ("B", two))
        if (unknown := side.unknown(metric))
    ]
    same_runs = ["the same runs"] if one.runs and one.runs == two.runs else []
    limit = [measured.note] if measured.note else []
    of_pairs = first & second if measured.method == PAIRED else first | second
    line = _line(
        cell=one.label,
        metric=metric,
        means=(_mean(one, metric, of_pairs), _mean(two, metric, of_pairs)),
        measured=measured,
        note="; ".join([*missing, *_lacking(first, second, two), *same_runs, *limit]),
    )
    return line if second else replace(line, change=Change.LOST)


def _mean(side: Repeats, metric: str, seeds: Collection[int]) -> float | None:
    if metric == SPEED:
        return math.exp(fmean(levels)) if (levels := side.levels()) else None
    errors = [error for seed, error in side.errors(metric).items() if seed in seeds]
    return fmean(errors) if errors else None


def _lacking(first: Collection[int], second: Collection[int], two: Repeats) -> list[str]:
    """Name the seeds that have a value on the first side only; empty if the second side ran with other seeds."""
    lacking = sorted(set(first) - set(second))
    run = {trial.seed or 0 for cell in two.cells for trial in cell.trials}
    if not lacking or not set(first) & {*second, *run}:
        return []
    more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
    return [f"B lacks {'seed' if len(lacking) == 1 else 'seeds'} {', '.join(map(str, lacking[:SHOWN]))}{more}"]


def _line(*, cell: str, metric: str, means: tuple[float | None, float | None], measured: Measured, note: str) -> Line:
    effect = measured.effect
    low, high = (None, None) if effect is None else effect.interval
    return Line(
        cell=cell,
        metric=metric,
        first=means[0],
        second=means[1],
        difference=None if effect is None else _shown(effect.value, metric),
        low=None if low is None else _shown(low, metric),
        high=None if high is None else _shown(high, metric),
        visible=None,
        p_holm=None,
        change=Change.SAME if measured.same else Change.UNTESTED,
        method=measured.method,
        n=measured.n,
        note=note,
    )


def _shown(value: float, metric: str) -> float:
    """Convert a difference for display: errors stay in points, a logarithm of a ratio of speeds becomes percent."""
    return 100 * math.expm1(value) if metric == SPEED else value


def decided(drafts: Sequence[tuple[Line, Effect | None]], margin: float) -> list[Line]:
    """Return each line with its change, after Holm over all tested lines: once for differences, once for regressions.

    A regression is a one-sided test at half the level. Therefore it is always a difference of the two-sided family too.
    If nothing truly differs, the chance of any reported change is at most `ALPHA`, for both families together.
    """
    tested = [index for index, (_, effect) in enumerate(drafts) if effect is not None]
    effects = {index: effect for index in tested if (effect := drafts[index][1]) is not None}
    differ = dict(zip(tested, holm([effects[index].p_value for index in tested]), strict=True))
    worse = dict(zip(tested, holm([_p_worse(effects[i], drafts[i][0].metric, margin) for i in tested]), strict=True))
    alpha = ALPHA / max(len(tested), 1)
    return [
        line
        if index not in effects
        else _decided(line, effects[index], differ[index], worse[index], _visible(effects[index], line.metric, alpha))
        for index, (line, _) in enumerate(drafts)
    ]


def _p_worse(effect: Effect, metric: str, margin: float) -> float:
    """Return the one-sided p value against "the second is worse by no more than the margin"."""
    if METRICS[metric].better == "lower":
        return effect.p_above(margin)
    mirrored = replace(effect, value=-effect.value)
    return mirrored.p_above(-math.log1p(-min(margin, 99.9) / 100) if metric == SPEED else margin)


def _visible(effect: Effect, metric: str, alpha: float) -> float | None:
    """Return the smallest visible difference; infinite if there are too few values to show any."""
    visible = effect.visible(alpha)
    if visible is None:
        return None
    most = MOST_VISIBLE_PCT if metric == SPEED else MOST_VISIBLE_POINTS
    return math.inf if visible > most or (shown := _shown(visible, metric)) > most else shown


def _decided(line: Line, effect: Effect, p_holm: float, p_worse: float, visible: float | None) -> Line:
    if line.change is Change.SAME:
        return replace(line, p_holm=1.0)
    worse = (effect.value > 0) == (METRICS[line.metric].better == "lower")
    low, high = effect.interval
    if p_worse < ALPHA / 2:
        change = Change.REGRESSION
    elif p_holm < ALPHA:
        change = Change.WORSE if worse else Change.BETTER
    else:
        change = Change.NOTHING if low <= 0 <= high else Change.UNCLEAR
    return replace(line, change=change, p_holm=p_holm, visible=visible)
