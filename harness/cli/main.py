"""The command line. It reads flags and environment, calls one function, and turns its exceptions into messages.

Data goes to stdout, messages to stderr. A flag beats the environment, which beats the file, which beats the default.
Each command imports its modules when it runs, so that `harness --help` answers at once.
"""

from __future__ import annotations

import atexit
import dataclasses
import getpass
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from harness import without_current_folder
from harness.cli.bench import bench
from harness.cli.data import data
from harness.cli.jobs import logs, status, stop, submit
from harness.cli.list import Listed
from harness.cli.options import (
    Address,
    CheckpointEvery,
    CollectiveTimeout,
    Dashboard,
    Experiment,
    File,
    Fresh,
    Json,
    KeepWeights,
    Launcher,
    MaxAttempts,
    Monitor,
    Out,
    StallTimeout,
    Storage,
    TakeOver,
    TrackingUri,
    TrialTimeout,
    duration,
    load,
    override,
)
from harness.cli.output import OutputClosed, emit, emit_json, note
from harness.cli.report import compare, export, report
from harness.errors import ExitCode, HarnessError
from harness.storage import with_home
from harness.tracking.address import DEFAULT_TRACKING_URI

app = typer.Typer(
    name="harness",
    help="Train and time a matrix of residual networks, record it in MLflow, and report which published claims hold.",
    epilog="Exit codes: 0 every trial has a result, 1 some failed, 2 usage or workload file, 3 infeasible on this "
    "cluster, 4 cluster or tracking server not reachable, 5 stopped, 130 interrupted.",
    rich_markup_mode=None,  # rich would double the time that --help takes
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
)
app.add_typer(data)


def _cache() -> Path:
    """Return the folder for data of this user's programs that can be made again (XDG base directory specification)."""
    return Path(with_home(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "resnet-harness"


def _version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        emit(f"resnet-harness {version('resnet-harness')}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=_version, help="Print the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; HARNESS_DEBUG=1 does too. May stand anywhere.")
    ] = False,
) -> None:
    pass


@app.command()
def plan(
    file: File,
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    experiment: Experiment = None,
    address: Address = None,
    spread: Annotated[
        float | None, typer.Option(min=1e-6, help="Standard deviation between seeds, in points; else the papers' 0.2.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what a workload would run, cost and decide.

    Each trial with its id, its network's parameters and MACs, its training FLOPs, and the run that holds its result if
    there is one; counts beside the published ones; the chance of a verdict on each claim, and the seeds that it takes.
    Nothing is changed, and nothing created but a cache of the counts.
    """
    from harness.cli.plan import as_record, as_text, plan_sweep
    from harness.launch.device import devices_at, resolve_devices
    from harness.planning.plan import check_audit

    workload = load(file)
    if address is not None and "://" in address:
        note(f"{address} is a dashboard, which cannot be asked for GPUs: device auto means this machine's here")
        address = None
    with devices_at(address) as devices:
        workload = resolve_devices(workload, devices)
    uri, experiment = _resolve(tracking_uri), experiment or workload.name
    sweep, planned, seeds = plan_sweep(workload, uri, experiment, _cache(), spread)
    if json:
        emit_json(as_record(planned, sweep, seeds))
    else:
        emit(as_text(planned, sweep, seeds))
    check_audit(workload, planned)


@app.command()
def run(
    file: File,
    storage: Storage = Path("runs"),
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    experiment: Experiment = None,
    address: Address = None,
    launcher: Annotated[Launcher, typer.Option(help="inline: in this process, without Ray.")] = Launcher.RAY,
    out: Out = Path("out"),
    fresh: Fresh = False,
    take_over: TakeOver = False,
    json: Json = False,
    max_attempts: MaxAttempts = None,
    trial_timeout: TrialTimeout = None,
    stall_timeout: StallTimeout = None,
    checkpoint_every: CheckpointEvery = None,
    collective_timeout: CollectiveTimeout = "5m",
    keep_weights: KeepWeights = False,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Write the report at the end.")] = True,
    monitor: Monitor = True,
) -> None:
    """Run a workload and report on it.

    Only trials without a result run. Ctrl-C stops cleanly, and the same command again goes on.
    """
    workload = override(
        load(file),
        max_attempts=max_attempts,
        trial_timeout_s=duration("--trial-timeout", trial_timeout),
        stall_timeout_s=duration("--stall-timeout", stall_timeout),
        checkpoint_every_s=duration("--checkpoint-every", checkpoint_every),
        keep="weights" if keep_weights else None,
    )
    collective_timeout_s = duration("--collective-timeout", collective_timeout)
    from harness.launch.run import run_sweep_command
    from harness.options import RunOptions

    options = RunOptions(
        workload=workload,
        storage=storage.absolute(),
        tracking_uri=_resolve(tracking_uri),
        experiment=experiment or workload.name,
        address=address,
        launcher="inline" if launcher is Launcher.INLINE else "ray",
        out=out,
        fresh=fresh,
        take_over=take_over,
        json=json,
        report=report,
        monitor=monitor,
        visible_devices=os.environ.get("CUDA_VISIBLE_DEVICES"),
        collective_timeout_s=collective_timeout_s or 300.0,
    )
    raise typer.Exit(run_sweep_command(options))


for _command in (submit, status, logs, stop, bench):
    app.command()(_command)


app.command()(report)
app.command()(export)
app.command()(compare)


@app.command()
def ensemble(
    trials: Annotated[
        list[str], typer.Argument(metavar="TRIAL...", help="Ids, their beginnings, or names: 'resnet-20-A seed 1'.")
    ],
    storage: Storage = Path("runs"),
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    log: Annotated[bool, typer.Option("--log/--no-log", help="Record it in MLflow, in the trials' experiment.")] = True,
    json: Json = False,
) -> None:
    """Average the answers of finished trials.

    Their softmax scores, on their common test set; prints each one's error and that of all together. The trials must
    have kept their weights: `keep: weights` in the workload file, or `run --keep-weights`.
    """
    from harness.cli import ensemble as cli_ensemble

    uri = _resolve(tracking_uri)
    made = cli_ensemble.make(storage, trials)
    if json:
        emit_json(made.record())
    else:
        emit(cli_ensemble.as_text(made))
    if log:
        note(f"MLflow run: {cli_ensemble.log(made, uri)}")


@app.command("list")
def list_(
    what: Annotated[Listed, typer.Argument(help="What to list.")],
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    address: Dashboard = None,
    json: Json = False,
) -> None:
    """Show what models, datasets, ... there are."""
    from harness.cli.list import LISTS, ServiceAddresses, as_text

    records = LISTS[what](ServiceAddresses(tracking_uri=tracking_uri, dashboard=address))
    if json:
        emit_json(records)
    elif records:
        emit(as_text(what, records))
    else:
        note(f"no {what.value} yet")


@app.command()
def sync(
    storage: Annotated[Path, typer.Argument(help="The --storage of a run, or one sweep's folder in it.")] = Path(
        "runs"
    ),
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
) -> None:
    """Send MLflow what it missed.

    A crash or an outage leaves events in the outboxes of a storage folder; to send one twice changes nothing. A sweep
    that cannot be sent is named at the end, with exit code 1; the others are sent.
    """
    from harness.cli.sync import sync_storage

    raise typer.Exit(sync_storage(storage, _resolve(tracking_uri)))


@app.command()
def ui(
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    port: Annotated[int, typer.Option(min=1, max=65535, help="On 127.0.0.1.")] = 5000,
) -> None:
    """Start MLflow's UI on the store.

    It listens on this machine only and runs until Ctrl-C. A tracking server has its own: then its address is printed.
    """
    from harness.cli.ui import ui_of

    page = ui_of(_resolve(tracking_uri), port)
    emit(page.url)
    if page.command:
        note("MLflow's UI starts there; Ctrl-C ends it")
        os.execve(page.command[0], page.command, {**os.environ, **page.environment})  # noqa: S606  our own list


@app.command()
def doctor(
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    address: Address = None,
    json: Json = False,
) -> None:
    """Show what a run would find here.

    Versions, devices, the Ray cluster and its token, the tracking store. Nothing is started or created.
    """
    from harness.cli.doctor import as_text, diagnose, exit_code

    checks = diagnose(tracking_uri, address, os.environ)
    if json:
        emit_json([dataclasses.asdict(check) for check in checks])
    else:
        emit(as_text(checks))
    raise typer.Exit(exit_code(checks))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. Every exception becomes one message on stderr."""
    _import_nothing_from_current_folder()
    _have_a_home()
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given or os.environ.get("HARNESS_DEBUG", "") not in ("", "0")
    try:
        return _run(_with_home(argument) for argument in given if argument != "--debug")
    except HarnessError as error:
        return _fail(str(error), error.exit_code, debug=debug)
    except OutputClosed:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # otherwise Python's last flush would print an error
        return 128 + 13
    except KeyboardInterrupt:
        return _fail("interrupted", ExitCode.INTERRUPTED, debug=debug)
    except Exception as error:  # noqa: BLE001  users get a message, never a library's traceback
        hint = (
            "" if debug else "\nThis is a fault of the harness or of a library. HARNESS_DEBUG=1 shows where it happened"
        )
        return _fail(f"{type(error).__name__}: {error}{hint}", ExitCode.FAILED, debug=debug)


def _import_nothing_from_current_folder() -> None:
    """Keep the user's files out of the imports of this process and of those that it starts."""
    sys.path[:] = without_current_folder(sys.path)
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    if path := os.environ.get("PYTHONPATH"):  # where an empty entry, as in `$PYTHONPATH:more`, is the current folder
        os.environ["PYTHONPATH"] = os.pathsep.join(without_current_folder(path.split(os.pathsep)))


def _have_a_home() -> None:
    """Give libraries a home and a user's name if the system knows none, as in a container with an arbitrary user id."""
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = tempfile.mkdtemp(prefix="resnet-harness-home-")
        atexit.register(shutil.rmtree, os.environ["HOME"], ignore_errors=True)
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["USER"] = f"user-{os.getuid()}"


def _with_home(argument: str) -> str:
    """Return an argument with the user's home in place of `~/`; see `with_home`."""
    flag, mark, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    return flag + mark + with_home(value)


def _run(arguments: Iterable[str]) -> int:
    try:
        app(list(arguments), prog_name="harness")
    except SystemExit as end:  # how typer returns
        return int(end.code or 0)
    raise AssertionError("typer always exits")


def _fail(message: str, code: int, *, debug: bool) -> int:
    if debug:
        note(traceback.format_exc().rstrip())
    note(f"error: {message}")
    return int(code)


def _resolve(tracking_uri: str) -> str:
    from harness.tracking.address import resolve

    return resolve(tracking_uri)
