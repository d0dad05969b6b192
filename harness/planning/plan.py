"""The cost of a sweep, and the check that its networks are the ones their names say, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from harness.errors import WorkloadError
from harness.planning.deviations import Ledger, ledger_of
from harness.trial import Trial
from harness.workload.load import Workload
from models.audit import AuditLine
from models.spec import ModelSpec
from workloads.datasets.spec import DatasetSpec
from workloads.recipes import SCALES

if TYPE_CHECKING:
    from models.published.entries import Published

VIEWS = {"single-crop": 1.0, "10-crop": 10.0, "multi-scale": sum((side / 224) ** 2 for side in SCALES)}
"""Cost of the final evaluation of a square image, in passes over the crop that is used in training."""


class Cost(Protocol):
    """Part of `models.complexity.Complexity` that planning needs."""

    @property
    def params(self) -> int: ...
    @property
    def macs(self) -> int: ...
    @property
    def train_flops_per_image(self) -> int: ...


Count = Callable[[ModelSpec, DatasetSpec], Cost]
Audit = Callable[[ModelSpec, DatasetSpec, Any], Sequence[AuditLine]]


@dataclass(frozen=True, kw_only=True)
class TrialPlan:
    """Cost of one trial."""

    trial_id: str
    cell_id: str
    label: str
    seed: int
    params: int
    macs: int
    """Multiply-accumulates of the forward pass of one image."""
    train_flops_per_image: int
    train_flops: int
    """Floating-point operations of all training steps, without evaluation."""
    evaluate_flops: int
    """Forward FLOPs of evaluation.

    Test images are evaluated after each epoch. At the end, training images are evaluated once and test images by the
    recipe's views.
    """
    run_id: str | None
    """Id of the MLflow run that already holds the result; None if there is none."""


@dataclass(frozen=True, kw_only=True)
class CellAudit:
    """One cell's counts beside the published ones. Counts that were not published are None."""

    cell_id: str
    label: str
    params: int
    macs: int
    published_params: float | None
    published_macs: float | None
    params_off_pct: float | None
    """Difference of our parameters, counted by the published figure's convention, from that figure, in %."""
    macs_off_pct: float | None
    source: str | None
    convention: str | None
    within: bool | None
    """Whether every published count is met to its last printed digit; None if no count was published."""
    mismatches: tuple[str, ...]
    """Lines that describe the counts that are not met, one each."""
    published_errors: tuple[Mapping[str, Any], ...] = ()
    """Published errors: metric, printed, statistic, protocol, source."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A sweep before it runs."""

    workload: str
    trials: tuple[TrialPlan, ...]
    audit: tuple[CellAudit, ...]
    """Audits, one for each cell, in the trials' order."""
    deviations: tuple[Ledger, ...]
    """Deviations from the paper's training, one ledger for each cell, in the same order."""
    claims: tuple[str, ...]
    """Ids of the claims that the report checks; none means all."""

    @property
    def remaining(self) -> tuple[TrialPlan, ...]:
        """Trials without a result."""
        return tuple(trial for trial in self.trials if trial.run_id is None)

    @property
    def totals(self) -> dict[str, int]:
        """Sums over the sweep, and over its remaining trials."""
        return {
            "trials": len(self.trials),
            "cells": len(self.audit),
            "done": len(self.trials) - len(self.remaining),
            "train_flops": sum(trial.train_flops for trial in self.trials),
            "evaluate_flops": sum(trial.evaluate_flops for trial in self.trials),
            "remaining_train_flops": sum(trial.train_flops for trial in self.remaining),
        }

    def record(self) -> dict[str, Any]:
        """Return the plan in a form for JSON."""
        return {
            "workload": self.workload,
            "claims": list(self.claims),
            "totals": self.totals,
            "trials": [asdict(trial) for trial in self.trials],
            "audit": [{**asdict(cell), "mismatches": list(cell.mismatches)} for cell in self.audit],
            "deviations": [ledger.record() for ledger in self.deviations],
        }


def count_cost(model: ModelSpec, dataset: DatasetSpec) -> Cost:
    """Return the model's complexity on the data set's images; each distinct network is counted once."""
    from models import complexity  # imports torch

    return complexity.count(
        model,
        in_channels=dataset.channels,
        num_classes=dataset.classes,
        image_size=model.image_size or dataset.image_size,
    )


def audit_published(model: ModelSpec, dataset: DatasetSpec, cost: Any) -> Sequence[AuditLine]:
    """Return the model's counts beside those published for this data set; none if the images have another shape."""
    from models.audit import audit

    entry = _entry(model, dataset)
    return () if entry is None else audit(cost, entry)


def published_errors(model: ModelSpec, dataset: DatasetSpec) -> tuple[Mapping[str, Any], ...]:
    """Return every error that was printed for the model on this data set, as plain values."""
    entry = _entry(model, dataset)
    names = ("metric", "printed", "statistic", "protocol", "source")
    return () if entry is None else tuple({name: getattr(error, name) for name in names} for error in entry.errors)


def _entry(model: ModelSpec, dataset: DatasetSpec) -> Published | None:
    """Return the published entry of the model; None if the images have another shape."""
    from models.published.entries import INPUTS, published

    entry = published(model, dataset.name)
    same = entry is not None and INPUTS[dataset.name] == (dataset.channels, dataset.classes, dataset.image_size)
    return entry if same else None


def make_plan(
    workload: Workload,
    trials: Sequence[Trial],
    done: Mapping[str, str],
    *,
    count: Count = count_cost,
    audit: Audit = audit_published,
) -> Plan:
    """Return the plan of a sweep.

    Args:
        workload: the workload of the sweep.
        trials: all trials of the sweep.
        done: trial id -> MLflow run id of the trials that have a result.
        count: gives the cost of a model on a data set.
        audit: gives the model's counts beside the published ones.

    Raises:
        WorkloadError: a network cannot take the data set's images.
    """
    costs = _costs(workload, trials, count)
    cells = {trial.cell_id: trial for trial in trials}
    return Plan(
        workload=workload.name,
        claims=workload.claims,
        trials=tuple(_plan_trial(trial, costs[trial.model, trial.dataset], done) for trial in trials),
        audit=tuple(
            _audit_cell(cell_id, cell, costs[cell.model, cell.dataset], audit) for cell_id, cell in cells.items()
        ),
        deviations=tuple(map(ledger_of, cells.values())),
    )


def check_audit(workload: Workload, plan: Plan) -> None:
    """Refuse a sweep whose networks are not the published ones, unless the workload says `audit: warn`.

    Raises:
        WorkloadError: the networks differ; the message lists the differences cell by cell.
    """
    wrong = [f"{cell.label}: {line}" for cell in plan.audit for line in cell.mismatches]
    if wrong and workload.audit == "strict":
        raise WorkloadError(
            "\n  ".join([f"{workload.file}: networks differ from the published ones", *wrong])
            + "\nNothing was trained. `audit: warn` in the workload trains them all the same"
        )


def order(trials: Iterable[Trial], *, count: Count = count_cost) -> tuple[Trial, ...]:
    """Return the trials in the order to run: the costliest network first, so that the last trials are short.

    Trials of one network on one data set follow each other, the costliest cell first, and within a cell the seeds, so
    that compiled code and loaded data are used again.
    """
    waiting = list(trials)
    costs = {
        id(trial): trial.train_images * count(trial.model, trial.dataset).train_flops_per_image for trial in waiting
    }
    heaviest: dict[tuple[ModelSpec, DatasetSpec], int] = {}
    for trial in waiting:
        network = trial.model, trial.dataset
        heaviest[network] = max(heaviest.get(network, 0), costs[id(trial)])

    def rank(trial: Trial) -> tuple[Any, ...]:
        network = trial.model, trial.dataset
        return -heaviest[network], repr(network), -costs[id(trial)], trial.cell_id, trial.seed

    return tuple(sorted(waiting, key=rank))


def _costs(workload: Workload, trials: Iterable[Trial], count: Count) -> dict[tuple[ModelSpec, DatasetSpec], Cost]:
    """Return each distinct network's cost."""
    networks = dict.fromkeys((trial.model, trial.dataset) for trial in trials)
    costs = {}
    for model, dataset in networks:
        try:
            costs[model, dataset] = count(model, dataset)
        except ValueError as error:
            raise WorkloadError(f"{workload.file}: {model.label} on {dataset.name}: {error}") from error
    return costs


def _plan_trial(trial: Trial, cost: Cost, done: Mapping[str, str]) -> TrialPlan:
    epochs, data, views = trial.schedule.epochs, trial.dataset, VIEWS[trial.recipe.evaluation]
    evaluate_flops = round(2 * cost.macs * ((epochs + views) * data.test_images + data.train_images))
    trial_id = trial.id
    return TrialPlan(
        trial_id=trial_id,
        cell_id=trial.cell_id,
        label=trial.label,
        seed=trial.seed,
        params=cost.params,
        macs=cost.macs,
        train_flops_per_image=cost.train_flops_per_image,
        train_flops=trial.train_images * cost.train_flops_per_image,
        evaluate_flops=evaluate_flops if trial.measure == "training" else 0,
        run_id=done.get(trial_id),
    )


def _audit_cell(cell_id: str, cell: Trial, cost: Cost, audit: Audit) -> CellAudit:
    lines = audit(cell.model, cell.dataset, cost)
    return CellAudit(
        cell_id=cell_id,
        label=cell.label,
        params=cost.params,
        macs=cost.macs,
        published_params=_published(lines, "params"),
        published_macs=_published(lines, "macs"),
        params_off_pct=_off_pct(lines, "params"),
        macs_off_pct=_off_pct(lines, "macs"),
        source="; ".join(dict.fromkeys(line.source for line in lines)) or None,
        convention="; ".join(dict.fromkeys(f"{line.quantity}: {line.convention}" for line in lines)) or None,
        within=all(line.within_rounding for line in lines) if lines else None,
        mismatches=tuple(_mismatch(line) for line in lines if not line.within_rounding),
        published_errors=published_errors(cell.model, cell.dataset),
    )


def _published(lines: Iterable[AuditLine], quantity: str) -> float | None:
    return next((line.published for line in lines if line.quantity == quantity), None)


def _off_pct(lines: Iterable[AuditLine], quantity: str) -> float | None:
    return next((100 * line.difference / line.published for line in lines if line.quantity == quantity), None)


def _mismatch(line: AuditLine) -> str:
    return f"{line.quantity} {line.ours:,} here, {line.published:,.10g} in {line.source} ({line.convention})"
