"""Two sweeps against each other: did the second get better, worse, or is nothing to be seen?

Cells are paired by id, else by label. What was measured on different hardware or software is not compared unless that
is asked for, and then every line says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from harness.errors import UsageError
from harness.schema import METRICS, Outcome
from reports.cells import IMAGES, TEST_ERROR, TRAIN_ERROR, Cell, Trial, as_text, cells_of
from reports.effects import ALPHA, PAIRED, Effect, Measured, measure, together
from reports.statistics import holm
from reports.summaries import SPEED

if TYPE_CHECKING:
    from harness.tracking.results import SweepResults

COMPARED = (TEST_ERROR, TRAIN_ERROR, SPEED)
ALL_CELLS = "all cells"
CONDITIONS = ("device.name", "device.count", "device.threads_per_worker")
"""With every `version.*`: what must be the same for numbers to be of one kind."""
SETTINGS = ("recipe.", "model.", "dataset.", "scale.", "protocol")
SHOWN = 4
MOST_VISIBLE_PCT, MOST_VISIBLE_POINTS = 900.0, 100.0
"""Of speed, and of an error: a smallest visible difference beyond it says that nothing can be seen."""


class Finding(StrEnum):
    """What a line says of the second sweep."""

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
    """One quantity of one cell on both sides. Differences of errors are points, of speeds per cent of the first's."""

    cell: str
    metric: str
    first: float | None
    """The mean; of speeds the geometric mean."""
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    visible: float | None
    """The smallest difference that would have been seen, at 80 % power."""
    p_holm: float | None
    finding: Finding
    method: str
    n: str
    note: str = ""

    @property
    def unit(self) -> str:
        """Of the difference."""
        return "%" if self.metric == SPEED else "points"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All lines, and what could not be compared."""

    first: str
    second: str
    margin: float
    across: tuple[str, ...]
    """What differs of hardware and software; empty where nothing does."""
    settings: tuple[str, ...]
    """What differs in how cells of one name were trained; empty where nothing does."""
    lines: tuple[Line, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    @property
    def regressions(self) -> tuple[Line, ...]:
        """Where the second is worse by more than the margin."""
        return tuple(line for line in self.lines if line.finding is Finding.REGRESSION)

    @property
    def lost(self) -> tuple[Line, ...]:
        """Where the first has values and the second none: its trials failed, or never ended."""
        return tuple(line for line in self.lines if line.finding is Finding.LOST)


def compare(first: SweepResults, second: SweepResults, *, margin: float = 0.0, across: bool = False) -> Comparison:
    """Hold the second sweep against the first.

    Args:
        first: what was before.
        second: what is now.
        margin: points of error, or per cent of speed, that the second may be worse by.
        across: compare what ran on different hardware or software too.

    Raises:
        UsageError: they have no cell in common, or ran on different hardware or software and `across` is not given.
    """
    cells_1, cells_2 = cells_of(first), cells_of(second)
    matched = match(cells_1, cells_2)
    if not matched:
        raise UsageError(
            f"sweeps {first.name} and {second.name} have no cell in common: one has {_some(cells_1)}, the other "
            f"{_some(cells_2)}; name two sweeps of the same workload"
        )
    differing = _differing(matched)
    if differing and not across:
        raise UsageError(
            f"{first.name} and {second.name} ran under different conditions: {'; '.join(differing)}. A difference "
            "could be theirs; --across-hardware compares all the same, and says so on every line"
        )
    return Comparison(
        first=first.name,
        second=second.name,
        margin=margin,
        across=differing,
        settings=_settings(matched),
        lines=tuple(_lines(matched, margin)),
        only_first=_left([one for one, _ in matched], cells_1),
        only_second=_left([two for _, two in matched], cells_2),
    )


def match(first: Sequence[Cell], second: Sequence[Cell]) -> list[tuple[Cell, Cell]]:
    """Cells of the same id, else of the same label where it is the only one of its sweep; in the first's order."""
    ids = {cell.cell_id: cell for cell in second}
    free_1 = [cell for cell in first if cell.cell_id not in ids]
    taken = {cell.cell_id for cell in first}
    free_2 = [cell for cell in second if cell.cell_id not in taken]
    by_label = {cell.label: cell for cell in free_2 if _is_only(cell, free_2)}
    partners = {cell.cell_id: by_label.get(cell.label) if _is_only(cell, free_1) else None for cell in free_1} | {
        cell.cell_id: ids[cell.cell_id] for cell in first if cell.cell_id in ids
    }
    return [(cell, partner) for cell in first if (partner := partners[cell.cell_id]) is not None]


def _is_only(cell: Cell, cells: Sequence[Cell]) -> bool:
    return sum(other.label == cell.label for other in cells) == 1


def _left(matched: Sequence[Cell], cells: Sequence[Cell]) -> tuple[str, ...]:
    ids = {cell.cell_id for cell in matched}
    return tuple(cell.label for cell in cells if cell.cell_id not in ids)


def _some(cells: Sequence[Cell]) -> str:
    shown = ", ".join(cell.label for cell in cells[:SHOWN])
    return shown + (f" and {len(cells) - SHOWN} more" if len(cells) > SHOWN else "") if cells else "none"


def _differing(matched: Iterable[tuple[Cell, Cell]]) -> tuple[str, ...]:
    """The conditions that are not one and the same over both sides of every cell, with their values."""
    return _unlike(matched, lambda key: key in CONDITIONS or key.startswith("version."))


def _settings(matched: Iterable[tuple[Cell, Cell]]) -> tuple[str, ...]:
    """How two cells of one name were trained differently. Those of one id were not."""
    alike_by_name = [(one, two) for one, two in matched if one.cell_id != two.cell_id]
    return _unlike(alike_by_name, lambda key: key.startswith(SETTINGS))


def _unlike(matched: Iterable[tuple[Cell, Cell]], counts: Callable[[str], bool]) -> tuple[str, ...]:
    """What is not one and the same over both sides of a cell, with its values: the first side's, then the second's."""
    found: dict[str, dict[str, None]] = {}
    for pair in matched:
        trials = [trial for cell in pair for trial in cell.results]
        for key in {key for trial in trials for key in trial.row if counts(key)}:
            values = dict.fromkeys(as_text(trial.row.get(key)) or "not known" for trial in trials)
            if len(values) > 1:
                found.setdefault(key, {}).update(values)
    return tuple(f"{key} {' / '.join(values)}" for key, values in sorted(found.items()))


def _lines(matched: Sequence[tuple[Cell, Cell]], margin: float) -> list[Line]:
    drafts: list[tuple[Line, Effect | None]] = []
    for metric in COMPARED:
        found = [(one, two, measured) for one, two in matched if (measured := _measured(one, two, metric)) is not None]
        drafts += [(_draft(one, two, metric, measured), measured.effect) for one, two, measured in found]
        effects = [measured.effect for _, _, measured in found if measured.effect is not None]
        if len(effects) > 1:
            drafts.append((_draft_of_all(metric, [measured for *_, measured in found]), together(effects)))
    return decided(drafts, margin)


def _measured(one: Cell, two: Cell, metric: str) -> Measured | None:
    """None where neither side has a value."""
    first, second = _values(one, metric), _values(two, metric)
    if not first and not second:
        return None
    if metric == SPEED:
        first, second = ({seed: math.log(value) for seed, value in side.items()} for side in (first, second))
        return measure(first, second)
    images = {one.constant(IMAGES[metric]), two.constant(IMAGES[metric])}
    count = images.pop() if len(images) == 1 else None
    return measure(first, second, images=None if count is None else int(count))


def _values(cell: Cell, metric: str) -> dict[int, float]:
    """Seed -> value of the trials that count: results for errors, finished trials for speed."""
    counts: Callable[[Trial], bool] = (
        (lambda trial: trial.outcome == Outcome.FINISHED) if metric == SPEED else (lambda trial: trial.is_result)
    )
    return {
        trial.seed or 0: value
        for trial in cell.trials
        if counts(trial) and (value := trial.number(metric)) is not None and (metric != SPEED or value > 0)
    }


def _draft(one: Cell, two: Cell, metric: str, measured: Measured) -> Line:
    first, second = _values(one, metric), _values(two, metric)
    of_pairs = set(first) & set(second) if measured.method == PAIRED else {*first, *second}
    missing = [
        f"{unknown} {side} without a value"
        for side, cell in (("A", one), ("B", two))
        if (unknown := cell.unknown(metric))
    ]
    runs = [{as_text(trial.row.get("run_id")) for trial in cell.results} for cell in (one, two)]
    same_runs = ["the same runs"] if runs[0] and runs[0] == runs[1] else []
    line = _line(
        cell=one.label,
        metric=metric,
        means=(_mean(_only(first, of_pairs), metric), _mean(_only(second, of_pairs), metric)),
        measured=measured,
        note="; ".join([*missing, *_lacking(first, second, two), *same_runs]),
    )
    return line if second else replace(line, finding=Finding.LOST)


def _only(values: Mapping[int, float], seeds: Collection[int]) -> dict[int, float]:
    return {seed: value for seed, value in values.items() if seed in seeds}


def _lacking(first: Mapping[int, float], second: Mapping[int, float], two: Cell) -> list[str]:
    """The seeds that only the first has a value of; nothing where the second was run with seeds of its own."""
    lacking = sorted(set(first) - set(second))
    if not lacking or not set(first) & {*second, *(trial.seed or 0 for trial in two.trials)}:
        return []
    more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
    return [f"B lacks {'seed' if len(lacking) == 1 else 'seeds'} {', '.join(map(str, lacking[:SHOWN]))}{more}"]


def _draft_of_all(metric: str, found: Sequence[Measured]) -> Line:
    counted = [measured for measured in found if measured.effect is not None]
    every = Measured(
        effect=together([measured.effect for measured in counted if measured.effect is not None]),
        method="mean over cells",
        n=f"{len(counted)} cells",
        same=all(measured.same for measured in counted),
    )
    return _line(cell=ALL_CELLS, metric=metric, means=(None, None), measured=every, note="")


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
        finding=Finding.SAME if measured.same else Finding.UNTESTED,
        method=measured.method,
        n=measured.n,
        note=note,
    )


def _mean(values: Mapping[int, float], metric: str) -> float | None:
    if not values:
        return None
    if metric == SPEED:
        return math.exp(math.fsum(map(math.log, values.values())) / len(values))
    return math.fsum(values.values()) / len(values)


def _shown(value: float, metric: str) -> float:
    """Points as they are; a logarithm of a ratio as per cent."""
    return 100 * math.expm1(value) if metric == SPEED else value


def decided(drafts: Sequence[tuple[Line, Effect | None]], margin: float) -> list[Line]:
    """Each line with its finding: Holm over all lines that are tested, once for a difference, once for a regression.

    A regression is a one-sided test at half the level. So it is always a difference of the two-sided family too, and no
    true difference at all gives any finding with at most `ALPHA`, both families together.
    """
    tested = [index for index, (_, effect) in enumerate(drafts) if effect is not None]
    effects = {index: effect for index in tested if (effect := drafts[index][1]) is not None}
    differ = dict(zip(tested, holm([effects[index].p_value for index in tested]), strict=True))
    worse = dict(zip(tested, holm([_p_worse(effects[i], drafts[i][0].metric, margin) for i in tested]), strict=True))
    alpha = ALPHA / max(len(tested), 1)
    return [
        line
        if index not in effects
        else _found(line, effects[index], differ[index], worse[index], _visible(effects[index], line.metric, alpha))
        for index, (line, _) in enumerate(drafts)
    ]


def _p_worse(effect: Effect, metric: str, margin: float) -> float:
    """One-sided, against "the second is worse by no more than the margin"."""
    if METRICS[metric].better == "lower":
        return effect.p_above(margin)
    mirrored = replace(effect, value=-effect.value)
    return mirrored.p_above(-math.log1p(-min(margin, 99.9) / 100) if metric == SPEED else margin)


def _visible(effect: Effect, metric: str, alpha: float) -> float | None:
    """Infinite where the values are too few to show anything."""
    visible = effect.visible(alpha)
    if visible is None:
        return None
    most = MOST_VISIBLE_PCT if metric == SPEED else MOST_VISIBLE_POINTS
    return math.inf if visible > most or (shown := _shown(visible, metric)) > most else shown


def _found(line: Line, effect: Effect, p_holm: float, p_worse: float, visible: float | None) -> Line:
    if line.finding is Finding.SAME:
        return replace(line, p_holm=1.0)
    worse = (effect.value > 0) == (METRICS[line.metric].better == "lower")
    low, high = effect.interval
    if p_worse < ALPHA / 2:
        finding = Finding.REGRESSION
    elif p_holm < ALPHA:
        finding = Finding.WORSE if worse else Finding.BETTER
    else:
        finding = Finding.NOTHING if low <= 0 <= high else Finding.UNCLEAR
    return replace(line, finding=finding, p_holm=p_holm, visible=visible)
