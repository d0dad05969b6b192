"""The complete `harness bench`: workers with or without Ray, the result, and its run in MLflow."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist

from harness.engine.bench import BenchConfig, bench_worker
from harness.errors import HarnessError, Infeasible, StorageError
from harness.events import now_ms
from harness.launch.environment import describe_driver
from harness.schema import BENCH_ARTIFACT
from harness.signals import StopSignal
from harness.tracking.waiting import waiting_for_mlflow

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


class NotRecordedError(HarnessError):
    """Measurements that are not in MLflow."""

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__(found)
        self.found = found


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """Options of `harness bench`, with flags and environment resolved."""

    workers: int
    launcher: Literal["ray", "inline"]
    address: str | None
    placement: Literal["pack", "spread"]
    device: Literal["auto", "cpu", "cuda"]
    cpus_per_worker: int
    repeats: int
    storage: Path
    """Absolute folder that every node sees at this path. Its disk is measured."""
    tracking_uri: str | None
    """Resolved tracking URI of MLflow; None records nothing there."""
    experiment: str


def run_bench(options: BenchOptions) -> dict[str, Any]:
    """Measure the machine and return the measurements, with the id of the MLflow run under `run_id`.

    Raises:
        StorageError: the storage folder cannot be written.
        TrackingUnreachable: MLflow does not answer; nothing was measured.
        Infeasible: the machine or cluster cannot hold that many workers.
        NotRecordedError: MLflow does not take the measurements; the cause says why.
    """
    if options.tracking_uri is not None:
        from harness.tracking.prepare import prepare

        prepare(options.tracking_uri, options.experiment)
    started_ms = now_ms()
    with StopSignal():
        measured = _measured(options)
    record = measured | {"environment": describe_driver(), "started_ms": started_ms}
    try:
        return record | {"run_id": _recorded(options, record)}
    except HarnessError as error:
        raise NotRecordedError(record | {"run_id": None}) from error


def _recorded(options: BenchOptions, record: Mapping[str, Any]) -> str | None:
    if options.tracking_uri is None:
        return None
    from harness.tracking.bench import log_bench

    with waiting_for_mlflow(options.tracking_uri, "to take the measurements"):
        return log_bench(options.tracking_uri, options.experiment, record)


def _measured(options: BenchOptions) -> dict[str, Any]:
    folder = options.storage / f"bench-{uuid.uuid4().hex[:8]}"
    config = BenchConfig(
        folder=folder,
        workers=options.workers,
        device=options.device,
        cpus_per_worker=options.cpus_per_worker,
        repeats=options.repeats,
        launcher=options.launcher,
    )
    try:
        folder.mkdir(parents=True)
        _execute(options, config)
        record: dict[str, Any] = json.loads((folder / BENCH_ARTIFACT).read_text())
    except OSError as error:
        raise StorageError(
            f"storage folder {options.storage} cannot be used: {error}; choose another with --storage"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return record


def _execute(options: BenchOptions, config: BenchConfig) -> None:
    if options.launcher == "ray":
        from harness.cluster.bench import bench_on_cluster  # imports Ray

        bench_on_cluster(config, address=options.address, placement=options.placement)
    else:
        _inline(config)


def _inline(config: BenchConfig) -> None:
    """Measure in this process, or in processes that it starts."""
    config = replace(config, device=_device_kind(config))
    cores = os.cpu_count() or 1
    if config.device == "cpu" and config.workers * config.cpus_per_worker > cores:
        raise Infeasible(
            f"--workers {config.workers} with {config.cpus_per_worker} cores each are more than this machine's "
            f"{cores}; lower --workers or --cpus-per-worker"
        )
    if config.workers == 1:
        threads = torch.get_num_threads()
        try:
            bench_worker(config, rank=0, device=_device(config, 0))
        finally:
            torch.set_num_threads(threads)
        return
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_process, args=(config, rank), daemon=True) for rank in range(config.workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if failed := [process.exitcode for process in processes if process.exitcode]:
        raise HarnessError(f"{len(failed)} of {config.workers} workers of the bench failed; their messages are above")


def _process(config: BenchConfig, rank: int) -> None:
    device = _device(config, rank)
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(variable, LOOPBACK)  # all processes are on this machine, and no other is to reach them
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        init_method=f"file://{config.folder}/store",
        rank=rank,
        world_size=config.workers,
    )
    try:
        bench_worker(config, rank=rank, device=device)
    finally:
        dist.destroy_process_group()


def _device_kind(config: BenchConfig) -> str:
    here = torch.cuda.device_count()
    kind = ("cuda" if here else "cpu") if config.device == "auto" else config.device
    if kind == "cuda" and here < config.workers:
        raise Infeasible(f"--workers {config.workers} want a GPU each, and this machine has {here}; lower --workers")
    return kind


def _device(config: BenchConfig, rank: int) -> torch.device:
    if config.device == "cpu":
        return torch.device("cpu")
    torch.cuda.set_device(rank)
    return torch.device("cuda", rank)
