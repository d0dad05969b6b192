"""`harness plan`: a workload's trials, their cost, and which of them are done."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.cli.output import si, table, wrap
from harness.cli.seeds import Seeds, seeds_of
from harness.planning.cost_cache import KnownCosts
from harness.planning.deviations import Deviation
from harness.planning.plan import CellAudit, Plan, make_plan
from harness.tracking.address import sqlite_path
from harness.workload.load import Workload, fingerprints
from harness.workload.matrix import expand, sweep_id, sweep_name

LABELS = 6
"""Most cells that are named if several share a ledger."""


def plan_sweep(
    workload: Workload, tracking_uri: str, experiment: str, cache: Path, spread: float | None
) -> tuple[str, Plan, Seeds]:
    """Return the name of the workload's sweep, its plan, and the verdicts that its seeds allow.

    Args:
        workload: the workload of the sweep.
        tracking_uri: URI of the store in which finished trials are looked up.
        experiment: their experiment.
        cache: folder that keeps the networks' costs.
        spread: standard deviation between seeds in points, None for the papers' value.

    Raises:
        WorkloadError: the data set or a network does not match the workload.
        TrackingUnreachable: the store does not answer.
    """
    trials = expand(workload, fingerprints(workload))
    done = _finished(tracking_uri, experiment, [trial.id for trial in trials])
    costs = KnownCosts(cache)
    with _no_collection():
        plan = make_plan(workload, trials, done, count=costs.count)
    costs.keep()
    return sweep_name(workload.name, sweep_id(workload.name, trials)), plan, seeds_of(trials, plan, spread)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Turn off garbage collection while torch and networks are loaded: there is little garbage, and it adds a sixth."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


def _finished(tracking_uri: str, experiment: str, trial_ids: Sequence[str]) -> Mapping[str, str]:
    database = sqlite_path(tracking_uri)
    if database is not None and not database.exists():
        return {}  # a query would create it
    from harness.tracking.results import finished_trials

    return finished_trials(tracking_uri, experiment, trial_ids)


def as_record(plan: Plan, sweep: str, seeds: Seeds) -> dict[str, Any]:
    """Return the plan in a form for JSON, with the name of its sweep."""
    return {"sweep": sweep, **plan.record(), "seed_power": seeds.record()}


def as_text(plan: Plan, sweep: str, seeds: Seeds) -> str:
    """Return the plan as text for people."""
    parts = (_trials(plan), _audit(plan), _deviations(plan), seeds.text(), _totals(plan, sweep))
    return "\n\n".join(filter(None, parts))


def _trials(plan: Plan) -> str:
    header = ("trial", "network", "seed", "params", " MACs", " training FLOPs", "result")
    rows = (
        (
            trial.trial_id,
            trial.label,
            trial.seed,
            trial.params,
            si(trial.macs),
            si(trial.train_flops),
            _result(trial.run_id),
        )
        for trial in plan.trials
    )
    return table(header, rows)


def _result(run_id: str | None) -> str | None:
    return None if run_id is None else f"done in run {run_id[:8]}"


def _audit(plan: Plan) -> str:
    if all(cell.within is None for cell in plan.audit):
        return "Published counts to audit against: none for these networks on this data."
    header = ("network", "params", " published", " off", " MACs", " published", " off", "agree")
    notes = [f"Published {part}." for part in _parts(cell.convention for cell in plan.audit)]
    sources = f"Published in {'; '.join(_parts(cell.source for cell in plan.audit))}."
    return "\n".join([table(header, map(_audit_row, plan.audit)), *notes, wrap(sources, first="", later="  ")])


def _parts(texts: Iterable[str | None]) -> list[str]:
    """Return the items that some texts list, each once."""
    return list(dict.fromkeys(part for text in texts if text for part in text.split("; ")))


def _audit_row(cell: CellAudit) -> tuple[Any, ...]:
    published = None if cell.published_params is None else int(cell.published_params)
    macs = None if cell.published_macs is None else si(cell.published_macs)
    agree = {True: "yes", False: "NO", None: None}[cell.within]
    params_off, macs_off = _off(cell.params_off_pct), _off(cell.macs_off_pct)
    return cell.label, cell.params, published, params_off, si(cell.macs), macs, macs_off, agree


def _off(pct: float | None) -> str | None:
    return None if pct is None else f"{round(pct, 2) or 0:+.2f} %"  # never -0.00


def _deviations(plan: Plan) -> str:
    """Return the deviations as text; cells with the same ledger share a paragraph."""
    cells: dict[tuple[str, tuple[Deviation, ...]], list[str]] = {}
    for ledger in plan.deviations:
        if ledger.source is not None:
            cells.setdefault((ledger.source, ledger.deviations), []).append(ledger.label)
    return "\n".join(line for (source, found), labels in cells.items() for line in _ledger(source, found, labels))


def _ledger(source: str, found: Sequence[Deviation], labels: Sequence[str]) -> Iterator[str]:
    names = ", ".join(labels[:LABELS]) + (f" and {len(labels) - LABELS} more" if len(labels) > LABELS else "")
    yield wrap(f"{names}: {'not' if found else 'trained'} as in {source}{':' if found else ''}", first="", later="  ")
    for one in found:
        yield f"  {one.name}: {one.used} (there {'not printed' if one.published is None else one.published})"


def _totals(plan: Plan, sweep: str) -> str:
    totals = plan.totals
    return (
        f"Sweep {sweep}: {_counted(totals['trials'], 'trial')} in {_counted(totals['cells'], 'cell')}, "
        f"{totals['done']} done.\n"
        f"Training costs {si(totals['train_flops'], 'FLOP')}, "
        f"{si(totals['remaining_train_flops'], 'FLOP')} of it still to do; "
        f"evaluation costs another {si(totals['evaluate_flops'], 'FLOP')}.\n"
        "A MAC is a multiply-accumulate of one image's forward pass: 2 FLOPs."
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
