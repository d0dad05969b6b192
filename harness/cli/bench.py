"""`harness bench`: the performance of this machine, or of a cluster, without training."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import Address, Json, Launcher, Storage, TrackingUri
from harness.cli.output import emit, emit_json, note, si, table
from harness.tracking.address import DEFAULT_TRACKING_URI

if TYPE_CHECKING:
    from harness.launch.bench import BenchOptions


class Device(StrEnum):
    """Device to measure."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Placement(StrEnum):
    """Placement of the workers: on as few nodes as hold them, or on as many as there are."""

    PACK = "pack"
    SPREAD = "spread"


def bench(
    workers: Annotated[int, typer.Option(min=1, help="Processes that measure side by side, a GPU each.")] = 1,
    launcher: Annotated[Launcher, typer.Option(help="inline: on this machine, without Ray.")] = Launcher.RAY,
    address: Address = None,
    placement: Annotated[Placement, typer.Option(help="Workers on few nodes, or on many.")] = Placement.SPREAD,
    device: Annotated[Device, typer.Option(help="auto: GPUs where there are some.")] = Device.AUTO,
    cpus_per_worker: Annotated[int, typer.Option(min=1, help="Threads of each worker.")] = 1,
    repeats: Annotated[int, typer.Option(min=2, help="Values of each measurement and worker.")] = 5,
    storage: Storage = Path("runs"),
    tracking_uri: TrackingUri = DEFAULT_TRACKING_URI,
    experiment: Annotated[str, typer.Option(help="MLflow experiment.")] = "bench",
    record: Annotated[bool, typer.Option("--record/--no-record", help="Write a run to MLflow.")] = True,
    json: Json = False,
) -> None:
    """Measure the machine itself.

    Matrix products in each precision, copies, all-reduce between workers, storage and decoding; each several times. The
    result is a run of its own in MLflow, to compare clusters by.
    """
    from harness.launch.bench import BenchOptions
    from harness.tracking.address import resolve

    options = BenchOptions(
        workers=workers,
        launcher="inline" if launcher is Launcher.INLINE else "ray",
        address=address,
        placement="pack" if placement is Placement.PACK else "spread",
        device="cpu" if device is Device.CPU else "cuda" if device is Device.CUDA else "auto",
        cpus_per_worker=cpus_per_worker,
        repeats=repeats,
        storage=storage.absolute(),
        tracking_uri=resolve(tracking_uri) if record else None,
        experiment=experiment,
    )
    found, fault = _run(options)
    if json:
        emit_json(found)
    else:
        emit(_as_text(found))
    if found["run_id"]:
        note(f"MLflow run {found['run_id']} in experiment {experiment}")
    if fault is not None:
        raise fault


def _run(options: BenchOptions) -> tuple[dict[str, Any], BaseException | None]:
    """Return what was measured, and why MLflow did not take it, so that it is shown before the error."""
    from harness.launch.bench import NotRecordedError, run_bench

    try:
        return run_bench(options), None
    except NotRecordedError as error:
        return error.found, error.__cause__


def _as_text(found: Mapping[str, Any]) -> str:
    """Return a header with the devices, and a line for each measurement."""
    tags = found["tags"]
    who = f"{found['workers']} x {tags['device.name']} on {tags['group.nodes']} node(s), {found['launcher']}"
    rows = [
        (each["label"], *(_number(each[name], each["unit"]) for name in ("median", "low", "high")), each["n"])
        for each in found["measurements"]
    ]
    return f"{who}\n{table(('measured', ' median', ' low', ' high', 'n'), rows)}"


def _number(value: float, unit: str) -> str:
    return f"{value:,.0f} us" if unit == "us" else si(value, unit)
