"""The complete `harness run`, in four stages: resolve, prepare, execute, summarize."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from rich.console import Console

from harness.cluster.node_check import absences
from harness.errors import ExitCode, HarnessError, StorageError
from harness.events import SweepEnded, SweepStarted, TrialEnded
from harness.launch.device import resolve_devices
from harness.launch.environment import describe_driver
from harness.launch.launcher import Launcher, open_launcher
from harness.launch.lock import LockHeld, is_locked, locked
from harness.launch.progress import Progress, outcome_counts
from harness.launch.sweep import IN_OUTBOX, NamedSweep, Sweep, name_sweep, prepare_sweep
from harness.launch.tracking import Tracking, open_tracking
from harness.network import without_secrets
from harness.options import RunOptions
from harness.schema import Outcome
from harness.signals import StopSignal
from harness.storage import SweepFolder, child
from harness.streams import ForgivingStream
from harness.tracking import address
from harness.tracking.outbox import read_history
from harness.tracking.recorder import Progress as Recorded
from harness.trial import Trial

Ends = Mapping[str, TrialEnded]
"""Trial id -> end of the trial, in this execution and in earlier ones that the outbox holds."""


@dataclass(frozen=True, kw_only=True)
class Services:
    """Services that a run uses from beginning to end."""

    launcher: Launcher
    tracking: Tracking
    console: Console
    """Console of progress and messages, on stderr."""
    stop: StopSignal


@dataclass(frozen=True, kw_only=True)
class Execution:
    """A sweep after its trials have run."""

    sweep: Sweep
    ends: Ends
    code: ExitCode
    """Exit code by the trials alone."""
    recorded: Recorded
    """State of the forwarding to MLflow."""


def run_sweep_command(options: RunOptions) -> ExitCode:
    """Run a workload to its end and report on it: resolve, prepare, execute, summarize.

    Progress and messages go to stderr; the summary, or with `--json` the outcome, goes to stdout.

    Raises:
        HarnessError: see `harness.errors`; earlier measurements are kept.
    """
    with StopSignal() as stop:
        with open_launcher(options) as launcher:
            if not launcher.is_leader:
                launcher.follow(stop)
                return ExitCode.OK
            console = Console(file=ForgivingStream(sys.stderr), highlight=False, soft_wrap=True)  # type: ignore[arg-type]
            services = Services(launcher=launcher, tracking=open_tracking(options), console=console, stop=stop)
            named = resolve(options, services)
            with locked(named.folder.lock):
                sweep = prepare(named, services)
                execution = execute(sweep, services)
        return summarize(execution, services)


def resolve(options: RunOptions, services: Services) -> NamedSweep:
    """Resolve devices and machines, and with them the ids of the trials and the sweep's folder.

    Raises:
        LockHeld: the sweep runs with another storage folder.
        StorageError: the storage folder or the folder for reports cannot be written.
        ClusterUnreachable: the cluster does not answer.
    """
    if services.tracking.available and options.report:
        _check_out(options.out)
    workload = resolve_devices(options.workload, services.launcher.devices)
    named = name_sweep(replace(options, workload=workload))
    if not options.take_over:
        _check_only_storage(named, services.tracking.running_at(named.id))
    named.claim()
    return named


def prepare(named: NamedSweep, services: Services) -> Sweep:
    """Find out which trials have a result, and plan and check the others. The caller holds the sweep's lock.

    Raises:
        WorkloadError: a network does not match the workload.
        StorageError: a data set is not here, or the outbox cannot be read.
    """
    sweep = prepare_sweep(named, services.tracking.finished)
    if services.launcher.is_local:
        _check_data(sweep)
    return sweep


def execute(sweep: Sweep, services: Services) -> Execution:
    """Run the trials without a result and forward every event to MLflow. The caller holds the sweep's lock."""
    services.console.print(
        f"{sweep.name}: {len(sweep.trials)} trials, {len(sweep.to_run)} to run, files in {sweep.folder.root}",
        markup=False,
    )
    sweep.outbox.append(_started(sweep))
    with services.stop.graceful() as stop, services.tracking.recording(sweep, stop) as recorded:
        try:
            names = {trial.id: trial.name for trial in sweep.trials}
            with Progress(names, services.console, recorded) as progress:
                services.launcher.run(sweep, progress.show, stop)
        finally:
            ends = read_history(sweep.outbox, sweep.history).ends
            code = _exit_code(sweep, ends, stop)
            sweep.outbox.append(SweepEnded(status=_status(code)))
    return Execution(sweep=sweep, ends=ends, code=code, recorded=recorded())


def summarize(execution: Execution, services: Services) -> ExitCode:
    """Print what happened, write the report, and say what the user can do next. Return the exit code of the command."""
    sweep, ends, recorded = execution.sweep, execution.ends, execution.recorded
    options, tracking, say = sweep.options, services.tracking, services.console
    say.print(f"{sweep.name}: {outcome_counts(ends.values()) or 'nothing ran'}", markup=False)
    code = execution.code
    if tracking.available and recorded.waiting:
        code = code or ExitCode.UNREACHABLE
    stopped = code in (ExitCode.STOPPED, ExitCode.INTERRUPTED)  # and the user waits
    for problem in recorded.refusals():  # printed first, because a refused item may prevent the report
        say.print(f"MLflow refused for good: {problem}", markup=False)
    has_report = tracking.available and options.report and not recorded.waiting and not stopped
    page, fault = _report(sweep, say) if has_report else (None, ExitCode.OK)
    code = code or fault
    _say_next(sweep, tracking, code, recorded, say)
    for advice in (
        out_of_time(ends.values(), sweep.workload.trial_timeout_s),
        no_weights(sweep.trials, sweep.done, sweep.folder),
    ):
        if advice is not None:
            say.print(advice, markup=False)
    if options.json:
        out = ForgivingStream(sys.stdout)
        out.write(json.dumps(_outcome(sweep, ends, code, page)) + "\n")
        out.flush()
    return code


def _check_out(out: Path) -> None:
    """Check that the report can be written, before days of training instead of after them.

    Raises:
        StorageError: the folder for reports is not a folder, or cannot be written.
    """
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    fault = "is not a folder" if not there.is_dir() else "" if os.access(there, os.W_OK) else "cannot be written"
    if fault:
        raise StorageError(
            f"reports cannot be written to {out}: {there} {fault}; name another folder with --out, "
            "or go without by --no-report"
        )


def _check_only_storage(named: NamedSweep, running_at: str | None) -> None:
    """Check that the sweep does not run in another storage folder.

    The lock covers only one storage folder. A run with another folder, or on another host, is known only from MLflow.

    Raises:
        LockHeld: the sweep is recorded as running in a folder that this outbox never used, and may still run.
    """
    if running_at is None or running_at in read_history(named.outbox).storages:
        return
    host, _, folder = running_at.partition(":")
    if host == socket.gethostname() and not is_locked(SweepFolder(child(Path(folder), named.name)).lock):
        return
    raise LockHeld(
        f"{named.name} is recorded as running in another storage folder, {folder} on {host}: two drivers would write "
        "into the same MLflow runs. Wait for that one, or go on with its --storage; if it died: "
        f"harness sync {folder} there, or --take-over here"
    )


def _check_data(sweep: Sweep) -> None:
    """Check the data before anything starts. `harness.cluster.inspection` checks the nodes of a cluster.

    Raises:
        StorageError: a data set of a trial that has no result is not on this machine.
    """
    if faults := absences({trial.dataset for trial in sweep.to_run}):
        raise StorageError("\n".join(sorted(faults)))


def _started(sweep: Sweep) -> SweepStarted:
    return SweepStarted(
        sweep_id=sweep.id,
        name=sweep.name,
        experiment=sweep.options.experiment,
        description=sweep.workload.description,
        workload_text=sweep.workload.text,
        trials=tuple(trial.record() for trial in sweep.trials),
        reused={trial_id: run for trial_id, run in sweep.done.items() if run != IN_OUTBOX},
        plan=sweep.plan.record(),
        environment={**describe_driver(), "storage": str(sweep.options.storage.absolute())},
    )


def _exit_code(sweep: Sweep, ends: Ends, stop: StopSignal) -> ExitCode:
    """Return 0 if every trial has a result, from this execution or an earlier one."""
    lacking = [ends.get(trial.id) for trial in sweep.trials if not _has_result(sweep, ends, trial.id)]
    if not lacking:
        return ExitCode.OK
    if stop.exit_code is not None:
        return stop.exit_code
    infeasible = sum(end is not None and end.outcome is Outcome.INFEASIBLE for end in lacking)
    if infeasible == len(sweep.trials):
        return ExitCode.INFEASIBLE
    return ExitCode.FAILED


def _has_result(sweep: Sweep, ends: Ends, trial_id: str) -> bool:
    return trial_id in sweep.done or (trial_id in ends and ends[trial_id].outcome.is_result)


def _status(code: ExitCode) -> str:
    if code in (ExitCode.STOPPED, ExitCode.INTERRUPTED):
        return "stopped"
    return "finished" if code is ExitCode.OK else "failed"


def _report(sweep: Sweep, say: Console) -> tuple[Path | None, ExitCode]:
    """Return the report's page, or None and the exit code of a report that cannot be made."""
    from harness.results.report import make_report  # imports pandas and matplotlib

    options = sweep.options
    summary = say if options.json else Console(file=ForgivingStream(sys.stdout))  # type: ignore[arg-type]
    warn = partial(say.print, markup=False)
    try:
        _, page = make_report(
            sweep.id,
            options.out,
            options.tracking_uri,
            experiment=options.experiment,
            log=True,
            show=summary,
            warn=warn,
        )
    except Exception as error:  # noqa: BLE001  a fault of the report must not hide the outcome of the trials
        kind, code = (
            ("", error.exit_code) if isinstance(error, HarnessError) else (type(error).__name__, ExitCode.FAILED)
        )
        fault = f"No report could be made: {kind and f'{kind}: '}{error}"
        warn(without_secrets(f"{fault}. Once that is mended: harness report {sweep.name}"))
        return None, code
    warn(f"Report: {page}")
    return page, ExitCode.OK


def _say_next(sweep: Sweep, tracking: Tracking, code: ExitCode, recorded: Recorded, say: Console) -> None:
    storage = sweep.options.storage
    if not tracking.available:
        say.print(f"MLflow is not installed here; where it is: harness sync {storage}", markup=False)
    elif recorded.waiting:
        why = f" ({recorded.error})" if recorded.error else ""
        say.print(
            f"MLflow does not take all{why}: {recorded.waiting} events wait in the outbox; "
            f"later: harness sync {storage}",
            markup=False,
        )
    else:
        say.print(f"MLflow: harness ui{_at(sweep.options.tracking_uri)}", markup=False)
    if code in (ExitCode.OK, ExitCode.UNREACHABLE):
        return
    if sweep.options.fresh:
        say.print("The same command without --fresh runs only what has no result in this sweep.", markup=False)
    else:
        say.print("The same command again runs only what has no result.", markup=False)


def _at(tracking_uri: str) -> str:
    """Return the flag that a command needs to find the store; empty for the default store."""
    default = address.resolve(address.DEFAULT_TRACKING_URI)
    return "" if tracking_uri == default else f" --tracking-uri {address.display(tracking_uri)}"


def out_of_time(ends: Iterable[TrialEnded], limit_s: float | None) -> str | None:
    """Return advice about trials that reached their time limit; None if there are none."""
    count = sum(end.outcome is Outcome.TIMED_OUT for end in ends)
    if not count or limit_s is None:
        return None
    trials = "1 trial" if count == 1 else f"{count} trials"
    return (
        f"Out of time: {trials}. Raise trial_timeout, {limit_s:g} s for each attempt now, in the workload file or by "
        "--trial-timeout."
    )


def no_weights(trials: Iterable[Trial], done: Collection[str], folder: SweepFolder) -> str | None:
    """Return advice about trials that should keep their weights but already had a result; None if there are none.

    Args:
        trials: the sweep's trials.
        done: ids of the trials that had a result before this execution.
        folder: the sweep's folder.
    """
    requested = [trial.id for trial in trials if trial.keep_weights and trial.id in done]
    count = sum(not folder.weights(trial_id).is_file() for trial_id in requested)
    if not count:
        return None
    if count == 1:
        return "1 trial finished earlier without saving weights. Use --fresh to train it again."
    return f"{count} trials finished earlier without saving weights. Use --fresh to train them again."


def _outcome(sweep: Sweep, ends: Ends, code: ExitCode, page: Path | None) -> dict[str, object]:
    return {
        "sweep": sweep.name,
        "sweep_id": sweep.id,
        "exit_code": int(code),
        "outcomes": {trial.id: outcome_of(trial.id, ends, sweep.done) for trial in sweep.trials},
        "report": None if page is None else str(page),
    }


def outcome_of(trial_id: str, ends: Ends, done: Collection[str]) -> str:
    """Return one word for `--json`: the outcome, `reused` for a result found elsewhere, else `missing`.

    Args:
        trial_id: the trial's id.
        ends: the ends in this sweep. A result found elsewhere takes precedence over an end without a result.
        done: the trials that had a result before this execution.
    """
    if trial_id in ends and (ends[trial_id].outcome.is_result or trial_id not in done):
        return ends[trial_id].outcome.value
    return "reused" if trial_id in done else "missing"
