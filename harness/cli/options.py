"""Arguments that several commands share, and the functions that read them."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.output import note
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.workload.load import Workload


class Launcher(StrEnum):
    """Programs that can start workers."""

    RAY = "ray"
    INLINE = "inline"


File = Annotated[
    str, typer.Argument(metavar="FILE", help="A workload file, or the name of one that `list workloads` shows.")
]
TrackingUri = Annotated[
    str, typer.Option(envvar="MLFLOW_TRACKING_URI", help="Where MLflow keeps runs: a server or a database.")
]
Experiment = Annotated[
    str | None,
    typer.Option(envvar="MLFLOW_EXPERIMENT_NAME", help="MLflow experiment; the workload's name if not given."),
]


def _cluster_address(address: str | None) -> str | None:
    """Return None for `local`, by which Ray means a Ray of one's own, as this harness does by no address."""
    return None if address in ("local", "") else address


Address = Annotated[
    str | None,
    typer.Option(
        envvar="RAY_ADDRESS", callback=_cluster_address, help="Ray cluster; without one, a local Ray is started."
    ),
]
Dashboard = Annotated[
    str | None,
    typer.Option(
        envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"], help="The Ray cluster's dashboard: http://head:8265."
    ),
]
Storage = Annotated[Path, typer.Option(help="Checkpoints and outboxes; every node must see it at this path.")]
Out = Annotated[Path, typer.Option(help="Folder of the report.")]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Go on although MLflow says that it runs with another storage folder.")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Run every trial anew, also those with a result.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
KeepWeights = Annotated[
    bool, typer.Option("--keep-weights", help="Keep the final weights of every trial in the storage.")
]
Monitor = Annotated[bool, typer.Option("--monitor/--no-monitor", help="Watch GPUs and hosts while trials run.")]
MaxAttempts = Annotated[int | None, typer.Option(min=1, max=1_000, help="Tries of each trial, else as in the file.")]
TrialTimeout = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Longest time of one attempt at a trial, else as in the file: 90s, 15m, 2h."),
]
StallTimeout = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Longest time of a trial without a step, else as in the file, or 30m."),
]
CheckpointEvery = Annotated[
    str | None,
    typer.Option(metavar="DURATION", help="Longest time without a checkpoint, else as in the file, or 10m."),
]
CollectiveTimeout = Annotated[
    str, typer.Option(metavar="DURATION", help="How long the workers of a group wait for each other.")
]


def load(file: str) -> Workload:
    """Return the workload, with its claims checked."""
    from harness.workload.load import check_claims, load_workload
    from reports.claims.registry import CLAIMS

    workload = load_workload(file)
    check_claims(workload, list(CLAIMS))
    if workload.shipped:
        note(f"{file} is not a file here: using the one that came with resnet-harness")
    return workload


def override(workload: Workload, **flags: float | str | None) -> Workload:
    """Return the workload with the given flags, each a field of it, in place of the file's values."""
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    return dataclasses.replace(workload, **given)


def duration(flag: str, text: str | None) -> float | None:
    """Return the duration in seconds, None if none was given.

    Raises:
        UsageError: the text is not a duration, or not one that a workload file may give.
    """
    if text is None:
        return None
    from harness.workload.fields import DURATION_S, seconds
    from harness.workload.source import show

    value, (least, most) = seconds(text), DURATION_S
    if isinstance(value, str) or not least <= value <= most:
        raise UsageError(f"{flag} is {show(text)}; give a time above 0 such as 90s, 15m or 2h, 366d at most")
    return float(value)
