"""The report's data for other programs: CSV and JSON with full precision and the same bytes on every machine."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.schema import METRICS
from reports.claims.measurement import Comparison, Side
from reports.claims.verdicts import Verdict
from reports.stats.cells import IMAGES, TEST_ERROR, TRAIN_ERROR, Cell, is_missing
from reports.stats.inference import Estimate
from reports.stats.summaries import MEMORY, SPEED, TIME, device_of, error_of, hardware_of

if TYPE_CHECKING:
    import pandas as pd

    from harness.tracking.results import SweepResults
    from reports.figures.drawing import Figure

CLAIMS_VERSION = 2
"""Version of the layout of `claims.json`."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}")
LEADING = ("trial_id", "cell_id", "label", "seed", "outcome", "reason", "attempt", "run_id")


def trials_csv(trials: pd.DataFrame) -> str:
    """Return one line per trial with every column of MLflow: identity first, then params, metrics and tags by name."""
    names = [str(column) for column in trials.columns]
    columns = [name for name in LEADING if name in names] + sorted(name for name in names if name not in LEADING)
    rows = trials.to_dict("records")
    return _csv(columns, ([row[column] for column in columns] for row in rows))


def cells_csv(cells: Sequence[Cell]) -> str:
    """Return one line per cell: n, mean, standard deviation and 95 % interval of errors and hardware measurements."""
    measured: dict[str, Callable[[Cell], Estimate]] = {
        "train_error_pct": lambda cell: error_of(cell, TRAIN_ERROR),
        "test_error_pct": lambda cell: error_of(cell, TEST_ERROR),
        "images_per_s": lambda cell: hardware_of(cell, SPEED),
        "memory_peak_gib": lambda cell: hardware_of(cell, MEMORY),
        "total_s": lambda cell: hardware_of(cell, TIME),
    }
    parts = ("n", "mean", "sd", "low", "high")
    fixed = ["cell_id", "label", "depth", "shortcut", "variant", "seeds_planned", "params", "macs", "devices"]
    columns = fixed + [f"{name}_{part}" for name in measured for part in parts]
    rows = (
        [*_identity(cell), *(getattr(summary(cell), part) for summary in measured.values() for part in parts)]
        for cell in cells
    )
    return _csv(columns, rows)


def figure_csv(figure: Figure) -> str:
    """Return the values of a figure."""
    return _csv(figure.data.columns, figure.data.rows)


def _identity(cell: Cell) -> list[Any]:
    devices = sorted({device for trial in cell.results if (device := device_of(trial))})
    return [
        cell.cell_id,
        cell.label,
        cell.depth,
        cell.shortcut,
        cell.variant,
        len(cell.trials),
        cell.constant("model/params"),
        cell.constant("model/macs"),
        "; ".join(devices),
    ]


def claims_json(results: SweepResults, verdicts: Sequence[Verdict]) -> str:
    """Return every verdict with all its evidence."""
    document = {
        "version": CLAIMS_VERSION,
        "sweep": {
            "name": results.name,
            "experiment": results.experiment,
            "sweep_id": results.sweep_id,
            "run_id": results.run_id,
            "status": results.status,
        },
        "claims": [_verdict(verdict) for verdict in verdicts],
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _verdict(verdict: Verdict) -> dict[str, Any]:
    claim = verdict.claim
    return {
        "id": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "alpha": claim.alpha,
        "verdict": str(verdict.ruling),
        "reason": verdict.reason,
        "p_value": verdict.p_value,
        "p_holm": verdict.p_holm,
        "seeds_needed": verdict.seeds_needed,
        "comparisons": [_comparison(comparison) for comparison in verdict.comparisons],
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "label": comparison.label,
        "metric": comparison.test.metric,
        "unit": METRICS[comparison.test.metric].unit,
        "images": IMAGES.get(comparison.test.metric),
        "contrast": comparison.test.contrast,
        "kind": comparison.test.kind,
        "margin": comparison.test.margin,
        "difference_unit": comparison.unit,
        "difference": comparison.effect,
        "low": comparison.low,
        "high": comparison.high,
        "method": comparison.method or None,
        "p_for": comparison.p_for,
        "p_against": comparison.p_against,
        "seeds_needed": comparison.seeds_needed,
        "note": comparison.note,
        "less": [_side(side) for side in comparison.less],
        "first": _side(comparison.first),
        "second": _side(comparison.second),
        "trend": [_side(side) for side in comparison.trend],
    }


def _side(side: Side) -> dict[str, Any]:
    estimates: Mapping[str, Any] = asdict(side.estimate)
    return {
        "label": side.label,
        "depth": side.depth,
        "values": list(side.values),
        "planned": side.planned,
        "diverged": side.diverged,
        **estimates,
    }


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([cell_text(column) for column in columns])
    writer.writerows([cell_text(value) for value in row] for row in rows)
    return written.getvalue()


def cell_text(value: object) -> str:
    """Return a number in full, nothing for a missing value, and text that no spreadsheet treats as a formula.

    Text that begins like a formula gets an apostrophe before it, as spreadsheets themselves mark text.
    """
    if is_missing(value):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(float(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
