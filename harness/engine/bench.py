"""All measurements of `harness bench` on a worker group, and the file that they are written to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from harness.engine.context import TrialContext
from harness.engine.distributed import all_objects
from harness.engine.process import describe_workers
from harness.measure.collectives import all_reduce_bytes_per_s, all_reduce_latency_us
from harness.measure.machine_peaks import copy_bytes_per_s, matmul_flops_per_s, precisions
from harness.measure.repeats import Repeats
from harness.measure.storage_rates import decode_images_per_s, disk_rates
from harness.schema import BENCH, BENCH_ARTIFACT
from harness.storage import write_atomic

BLOCK_S = 0.1


@dataclass(frozen=True, kw_only=True)
class BenchConfig:
    """The settings that each worker of a bench receives."""

    folder: Path
    """Folder of this bench, at the same path for every worker: for the result, and for files to measure the disk
    with."""
    workers: int
    device: str
    """Device type, cpu or cuda."""
    cpus_per_worker: int
    repeats: int
    launcher: str


def bench_worker(config: BenchConfig, *, rank: int, device: torch.device) -> None:
    """Run one worker's share of a bench; rank 0 writes the result as `bench.json`. The process group is up already.

    Raises:
        OSError: the folder cannot be written.
    """
    if device.type == "cpu":
        torch.set_num_threads(config.cpus_per_worker)
    context = TrialContext(config.folder, 1, rank, config.workers, device, lambda _event: None, lambda: False)
    tags = describe_workers(context)
    found = measure_machine(device, rank=rank, world_size=config.workers, folder=config.folder, n=config.repeats)
    if rank == 0:
        setting = {"workers": config.workers, "launcher": config.launcher, "cpus_per_worker": config.cpus_per_worker}
        record = {**setting, "tags": tags, "measurements": [measurement.record() for measurement in found]}
        write_atomic(config.folder / BENCH_ARTIFACT, json.dumps(record, indent=1).encode())


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One row of a bench: a key of `harness.schema.BENCH` and all values that were measured for it."""

    key: str
    values: tuple[float, ...]

    @property
    def repeats(self) -> Repeats:
        """The values with their median and extremes."""
        return Repeats(values=self.values)

    def record(self) -> dict[str, Any]:
        """Return the row in a form that JSON can hold."""
        repeats, metric = self.repeats, BENCH[self.key]
        ends = {"n": repeats.n, "median": repeats.median, "low": repeats.low, "high": repeats.high}
        return {"label": metric.label, "unit": metric.unit, **asdict(self), **ends}


def measure_machine(device: torch.device, *, rank: int, world_size: int, folder: Path, n: int) -> list[Measurement]:
    """Take every measurement, and return them all on every rank. All ranks take part.

    Measurements of a single worker run on all workers at once, as training does, and the values of all are pooled: a
    slow node shows as the low end. Rank 0 alone measures the disk. With one worker there is no all-reduce to measure.

    Args:
        device: this rank's device.
        rank: this worker's rank in the group.
        world_size: number of workers in the group.
        folder: folder in which files are written.
        n: number of values for each measurement and worker.

    Raises:
        OSError: the folder cannot be written.
    """
    mine = dict(_of_each(device, n))
    everyone = all_objects(mine, world_size)
    rows = {key: tuple(value for found in everyone for value in found[key].values) for key in mine}
    rows |= {key: repeats.values for key, repeats in _of_all(device, world_size, n)}
    rows |= _of_disk(folder, rank, world_size, n)
    return [Measurement(key=key, values=rows[key]) for key in BENCH if key in rows]


def _of_each(device: torch.device, n: int) -> Iterator[tuple[str, Repeats]]:
    for precision in precisions(device):
        yield f"bench/matmul_{precision}_flops_per_s", matmul_flops_per_s(device, precision, n=n, block_s=BLOCK_S)
    yield "bench/copy_bytes_per_s", copy_bytes_per_s(device, n=n, block_s=BLOCK_S)
    yield "bench/decode_images_per_s", decode_images_per_s(n=n, block_s=BLOCK_S)


def _of_all(device: torch.device, world_size: int, n: int) -> Iterator[tuple[str, Repeats]]:
    if world_size > 1:
        bandwidth = all_reduce_bytes_per_s(device, world_size, n=n, block_s=BLOCK_S)
        yield "bench/all_reduce_bytes_per_s", bandwidth
        yield "bench/all_reduce_latency_us", all_reduce_latency_us(device, n=n, block_s=BLOCK_S)


def _of_disk(folder: Path, rank: int, world_size: int, n: int) -> dict[str, tuple[float, ...]]:
    """Measure the disk on rank 0. An error there is raised on all ranks, so that none waits for ever."""
    found, fault = None, None
    if rank == 0:
        try:
            found = disk_rates(folder, n=n)
        except OSError as error:
            fault = error
    found, fault = all_objects((found, fault), world_size)[0]
    if found is None:
        raise OSError(f"folder {folder}: {fault}")
    written, read = found
    return {"bench/disk_write_bytes_per_s": written.values, "bench/disk_read_bytes_per_s": read.values}
