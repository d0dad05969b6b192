"""Text and JSON of a comparison. In the table for people, each line is complete by itself."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from harness.schema import METRICS
from reports import formatting
from reports.compare.compare import Change, Line, SweepComparison
from reports.compare.effects import Source
from reports.stats.summaries import SPEED

VERSION = 1
"""Version of the JSON layout."""
ACROSS = "across hardware or software"


def as_record(comparison: SweepComparison) -> dict[str, Any]:
    """Return the whole comparison as a record for JSON."""
    lines = [{**_line(line), "unit": line.unit, "across": bool(comparison.across)} for line in comparison.lines]
    return {
        "version": VERSION,
        "first": comparison.first,
        "second": comparison.second,
        "sweeps": list(comparison.sweeps),
        "margin": comparison.margin,
        "between": {key: _finite(value) for key, value in asdict(comparison.between).items()},
        "across": list(comparison.across),
        "settings": list(comparison.settings),
        "regressions": len(comparison.regressions),
        "lost": len(comparison.lost),
        "lines": [{key: _finite(value) for key, value in line.items()} for line in lines],
        "only_first": list(comparison.only_first),
        "only_second": list(comparison.only_second),
    }


def _line(line: Line) -> dict[str, Any]:
    """Return a line's fields. Version 1 of the layout calls the change a finding."""
    return {"finding" if key == "change" else key: value for key, value in asdict(line).items()}


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_lines(comparison: SweepComparison) -> list[str]:
    """Compare `B` with `A`, metric by metric; then list the cells that could not be compared and explain the table."""
    lines = [f"A: {comparison.first}", f"B: {comparison.second}"]
    if comparison.across:
        lines += [f"Different conditions: {'; '.join(comparison.across)}"]
    if comparison.settings:
        lines += [
            f"Different settings, so a difference is not one of code or machine: {'; '.join(comparison.settings)}"
        ]
    metric = ""
    for line in comparison.lines:
        if line.metric != metric:
            metric = line.metric
            lines += ["", f"{METRICS[metric].label}, {METRICS[metric].unit}"]
        lines.append(f"  {line.cell}: {_text(line)}" + (f" [{ACROSS}]" if comparison.across else ""))
    lines += ["", *_left_over(comparison), *_between(comparison), _footer(comparison), _summary(comparison)]
    return [line.replace(formatting.NBSP, " ") for line in lines]


def _text(line: Line) -> str:
    number = formatting.rate if line.metric == SPEED else formatting.decimal
    sides = "" if line.first is None and line.second is None else f"{number(line.first)} → {number(line.second)}, "
    parts = [f"{sides}{_difference(line)}{line.n}, {line.method}"]
    parts += [line.note] if line.note else []
    return f"{line.change}{_visible(line)}. {'; '.join(parts)}"


def _difference(line: Line) -> str:
    if line.difference is None:
        return ""
    interval = "" if line.change is Change.SAME else f" {formatting.interval(line.low, line.high)}"
    return f"{formatting.signed(line.difference)} {line.unit}{interval}, "


def _visible(line: Line) -> str:
    if line.change not in (Change.NOTHING, Change.UNCLEAR) or line.visible is None:
        return ""
    if math.isinf(line.visible):
        return " (too few values to see any)"
    return f" (one of {formatting.decimal(line.visible)} {line.unit} would have been seen)"


def _left_over(comparison: SweepComparison) -> list[str]:
    sides = (("A", comparison.only_first), ("B", comparison.only_second))
    return [f"Only in {side}: {', '.join(labels)}" for side, labels in sides if labels]


def _between(comparison: SweepComparison) -> list[str]:
    """State how much repeats of a whole sweep differ in speed, and the source of that value."""
    if not any(line.metric == SPEED for line in comparison.lines):
        return []
    pct, source = comparison.between.pct, comparison.between.source
    if pct is None:
        return ["Speed: no cell has one in every sweep, so each cell is judged by the sweeps that have it."]
    if source is Source.ESTIMATED:
        shown = f"repeats of a whole sweep differ by {formatting.decimal(pct)} % (standard deviation), as these"
        return [
            f"Speed: {shown} {' + '.join(map(str, comparison.sweeps))} sweeps show. Each sweep's mean is one value."
        ]
    allowed = f"allowing {pct:g} % between repeats of a whole sweep (standard deviation)"
    if source is Source.GIVEN:
        return [f"Speed: {allowed}, as --between says."]
    return [
        f"Speed: {allowed}, --between changes it. Repeats of both sides, as A1,A2,A3 B1,B2,B3, show what is true here."
    ]


def _footer(comparison: SweepComparison) -> str:
    tested = formatting.counted(sum(line.p_holm is not None for line in comparison.lines), "line")
    return (
        f"Differences are B less A with 95 % intervals. Findings hold at 5 % over all {tested}"
        " together (Holm); an unclear one would hold alone. What would have been seen: at that level, with 80 % power."
    )


def _summary(comparison: SweepComparison) -> str:
    if comparison.lines and all(line.change is Change.UNTESTED for line in comparison.lines):
        return "Nothing could be tested, so nothing is known of a regression. More seeds a side would tell."
    count, lost = len(comparison.regressions), len(comparison.lost)
    margin = f"{comparison.margin:g} points of error or {comparison.margin:g} % of speed"
    found = f"{formatting.counted(count, 'regression') if count else 'No regression'} beyond the margin of {margin}."
    return f"{found} B has no value left in {formatting.counted(lost, 'line')} where A has some." if lost else found
