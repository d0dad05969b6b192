"""One execution of a workload: its trials, the place of its files, and the results of earlier executions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.launch import generation
from harness.options import RunOptions
from harness.planning.plan import Plan, check_audit, make_plan, order
from harness.scheduling.types import Job, Limits, Shape
from harness.storage import SweepFolder, child
from harness.tracking.outbox import History, Outbox, read_history
from harness.trial import Scale, Trial
from harness.workload.load import Workload, fingerprints
from harness.workload.matrix import expand, sweep_id, sweep_name

IN_OUTBOX = "outbox"
"""Placeholder for the run of a trial whose result is in the outbox but, as far as is known, not yet in MLflow."""


FinishedTrials = Callable[[Sequence[str], str | None], Mapping[str, str]]


@dataclass(frozen=True, kw_only=True)
class NamedSweep:
    """The trials of a workload and the place of their files. Nothing has been looked up yet."""

    options: RunOptions
    trials: tuple[Trial, ...]
    id: str
    name: str
    generation: str
    """Generation started by `--fresh`, now or earlier; empty for the first."""

    @property
    def workload(self) -> Workload:
        """Workload that is executed."""
        return self.options.workload

    @cached_property
    def folder(self) -> SweepFolder:
        """Folder of the sweep's files."""
        return SweepFolder(child(self.options.storage, self.name))

    @cached_property
    def outbox(self) -> Outbox:
        """Outbox with the sweep's events."""
        return Outbox(self.folder.outbox)

    def claim(self) -> None:
        """Create the sweep's folder, and make the sweep the one that the same command continues.

        Raises:
            StorageError: the storage folder cannot be written.
        """
        self.folder.make()
        if self.options.fresh:
            generation.keep(self.options.storage, _first_name(self.workload, self.trials), self.generation)


@dataclass(frozen=True, kw_only=True)
class Sweep(NamedSweep):
    """One execution of a workload, ready to start."""

    history: History
    """History of earlier executions."""
    done: Mapping[str, str]
    """Trial id -> the MLflow run that holds its result, or `IN_OUTBOX`."""
    plan: Plan

    @property
    def limits(self) -> Limits:
        """Limits of the queue on each trial."""
        workload = self.workload
        return Limits(
            max_attempts=workload.max_attempts,
            trial_timeout_s=workload.trial_timeout_s,
            stall_timeout_s=workload.stall_timeout_s,
        )

    @cached_property
    def to_run(self) -> tuple[Trial, ...]:
        """Trials without a result, in the order in which they should start."""
        return tuple(trial for trial in order(self.trials) if trial.id not in self.done)

    def jobs(self) -> list[Job]:
        """Return the jobs of `to_run` for the queue."""
        costs = {trial.trial_id: float(trial.train_flops) for trial in self.plan.trials}
        return [
            Job(
                trial=trial,
                shape=shape_of(trial.scale),
                cost=costs[trial.id],
                attempts_before=self.history.attempts.get(trial.id, 0),
            )
            for trial in self.to_run
        ]


def name_sweep(options: RunOptions) -> NamedSweep:
    """Expand the workload and name its sweep.

    Raises:
        WorkloadError: the data set does not match the workload.
        StorageError: the file that records a fresh start cannot be read.
    """
    workload = options.workload
    trials = expand(workload, fingerprints(workload))
    current = generation.new() if options.fresh else generation.current(options.storage, _first_name(workload, trials))
    identity = sweep_id(workload.name, trials, nonce=current)
    name = sweep_name(workload.name, identity)
    return NamedSweep(options=options, trials=trials, id=identity, name=name, generation=current)


def _first_name(workload: Workload, trials: Sequence[Trial]) -> str:
    """Return the name of the workload's sweep before any `--fresh`."""
    return sweep_name(workload.name, sweep_id(workload.name, trials))


def prepare_sweep(named: NamedSweep, finished: FinishedTrials) -> Sweep:
    """Look up the finished trials, plan the rest and audit its networks.

    The caller holds the sweep's lock, so no results are added meanwhile.

    Args:
        named: the sweep.
        finished: asks the tracking server which of some trial ids have a result, in the sweep with the given id or, for
            None, in any sweep; returns trial id -> MLflow run id.

    Raises:
        WorkloadError: a network does not match the workload.
    """
    history = read_history(named.outbox)
    done = {} if named.options.fresh else _done(named, history, finished)
    plan = make_plan(named.workload, named.trials, done)
    check_audit(named.workload, plan)
    return Sweep(
        options=named.options,
        trials=named.trials,
        id=named.id,
        name=named.name,
        generation=named.generation,
        history=history,
        done=done,
        plan=plan,
    )


def _done(named: NamedSweep, history: History, finished: FinishedTrials) -> dict[str, str]:
    in_outbox = {trial_id: IN_OUTBOX for trial_id, end in history.ends.items() if end.outcome.is_result}
    # A sweep that was started afresh uses its own results alone.
    sweep = named.id if named.generation else None
    return {**in_outbox, **finished([trial.id for trial in named.trials], sweep)}


def shape_of(scale: Scale) -> Shape:
    """Return the shape of the worker group for this scale."""
    assert scale.device != "auto", "resolve_devices sets it"
    return Shape(
        workers=scale.workers,
        device=scale.device,
        cpus_per_worker=scale.cpus_per_worker,
        gpus_per_worker=scale.gpus_per_worker if scale.device == "cuda" else 0.0,
        placement=scale.placement if scale.workers > 1 else "pack",
    )
