"""`harness plan`: what a workload would run, what it would cost, and what of it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.cli_output import si, table
from harness.matrix import expand, sweep_id, sweep_name
from harness.plan import CellAudit, Plan, make_plan
from harness.tracking.address import sqlite_path
from harness.workload import Workload, fingerprints


def plan_sweep(workload: Workload, tracking_uri: str, experiment: str) -> tuple[str, Plan]:
    """The name that the workload's sweep would have, and its plan.

    Raises:
        WorkloadError: the data set or a network is not what the workload says.
        TrackingUnreachable: whether anything is done cannot be asked.
    """
    trials = expand(workload, fingerprints(workload))
    done = _finished(tracking_uri, experiment, [trial.id for trial in trials])
    return sweep_name(workload.name, sweep_id(workload.name, trials)), make_plan(workload, trials, done)


def _finished(tracking_uri: str, experiment: str, trial_ids: Sequence[str]) -> Mapping[str, str]:
    database = sqlite_path(tracking_uri)
    if database is not None and not database.exists():
        return {}  # to ask would create it
    from harness.tracking.results import finished_trials

    return finished_trials(tracking_uri, experiment, trial_ids)


def as_record(plan: Plan, sweep: str) -> dict[str, Any]:
    """The plan as JSON takes it, with the name that its sweep would have."""
    return {"sweep": sweep, **plan.record()}


def as_text(plan: Plan, sweep: str) -> str:
    """The plan for people."""
    return "\n\n".join(filter(None, (_trials(plan), _audit(plan), _totals(plan, sweep))))


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
    cells = [cell for cell in plan.audit if cell.within is not None]
    if not cells:
        return "Published counts to audit against: none for these networks on this data."
    header = ("network", "params", " published", " MACs", " published", "agree", "source")
    return table(header, map(_audit_row, cells))


def _audit_row(cell: CellAudit) -> tuple[Any, ...]:
    published = None if cell.published_params is None else int(cell.published_params)
    macs = None if cell.published_macs is None else si(cell.published_macs)
    return cell.label, cell.params, published, si(cell.macs), macs, "yes" if cell.within else "NO", cell.source


def _totals(plan: Plan, sweep: str) -> str:
    totals = plan.totals
    return (
        f"Sweep {sweep}: {totals['trials']} trials in {totals['cells']} cells, {totals['done']} done.\n"
        f"Training costs {si(totals['train_flops'], 'FLOP')}, "
        f"{si(totals['remaining_train_flops'], 'FLOP')} of it still to do; "
        f"evaluation costs another {si(totals['evaluate_flops'], 'FLOP')}.\n"
        "A MAC is a multiply-accumulate of one image's forward pass: 2 FLOPs."
    )
