"""Every name that the harness writes to MLflow, with its unit, its better direction and its label: one table.

`METRICS` holds what a trial measures, `Tag` what describes a run, `Outcome` how a trial can end. Reports take labels
and units from here; nothing else spells these names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeVar

PROTOCOL = 1
"""Version of the measuring protocol, part of every trial id. Raise it when the same settings give other numbers."""


class Outcome(StrEnum):
    """How a trial ended. `finished` and `diverged` are results; the others are not."""

    FINISHED = "finished"
    DIVERGED = "diverged"
    FAILED = "failed"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    INFEASIBLE = "infeasible"
    STOPPED = "stopped"

    @property
    def is_result(self) -> bool:
        """Whether the trial is complete and need not run again."""
        return self in (Outcome.FINISHED, Outcome.DIVERGED)


class Tag(StrEnum):
    """Tags of MLflow runs."""

    KIND = "harness.kind"
    SWEEP_ID = "harness.sweep_id"
    TRIAL_ID = "harness.trial_id"
    CELL_ID = "harness.cell_id"
    LABEL = "harness.label"
    ATTEMPT = "harness.attempt"
    OUTCOME = "harness.outcome"
    REASON = "harness.reason"
    DEVICE_NAME = "device.name"
    DEVICE_COUNT = "device.count"
    DEVICE_PEAKS = "device.peaks"
    """Published peaks of the device, or the reason why there is no MFU."""
    DEVICE_IDS = "device.uuids"
    DEVICE_THROTTLED = "device.throttled"
    """Causes and counts of lowered clocks while the trial ran; `no` if clocks were not lowered."""
    DEVICE_SHARED = "device.shared"
    """Whether other processes held memory of the trial's GPUs."""
    ENERGY_FROM = "device.energy_from"
    """Source of the energy: `counter` is the devices' own counter, `power` is power integrated over time."""
    MONITOR_ABSENT = "monitor.absent"
    """Device measurements that were not possible, with the reason."""
    GROUP_WORLD_SIZE = "group.world_size"
    GROUP_NODES = "group.nodes"
    GROUP_LAYOUT = "group.layout"
    """Ranks on each node, such as `alpha: 0 1; beta: 2`."""
    STORAGE = "harness.storage"
    """Place of a sweep's files as its last driver saw it: `host:folder`."""
    GIT_COMMIT = "git.commit"
    GIT_DIRTY = "git.dirty"


KIND_SWEEP = "sweep"
KIND_TRIAL = "trial"
KIND_ENSEMBLE = "ensemble"
KIND_BENCH = "bench"

Direction = Literal["lower", "higher", "none"]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One measured quantity."""

    key: str
    """Name of the metric in MLflow."""
    unit: str
    label: str
    """Name in tables and on axes, without the unit."""
    better: Direction = "none"
    series: bool = False
    """Whether there is one point per epoch (step = epochs done) instead of one value per trial."""


ERROR_LADDER_PCT = (50, 30, 25, 20, 10, 8, 6)
"""Test errors in % whose time is measured. An error that a trial never reached has no time: censored, not dropped."""


def time_to_error(threshold_pct: int, *, evaluation: bool) -> str:
    """Return the metric for the time to a threshold, on a clock that runs during evaluations or one that pauses."""
    return f"time_to_error/{threshold_pct}_pct_{'total' if evaluation else 'train'}_s"


def _ladder() -> Iterator[Metric]:
    for pct in ERROR_LADDER_PCT:
        label = f"Time to a test error of {pct} %"
        yield Metric(key=time_to_error(pct, evaluation=False), unit="s", label=label, better="lower")
        key = time_to_error(pct, evaluation=True)
        yield Metric(key=key, unit="s", label=f"{label}, evaluation included", better="lower")


def _share(key: str, label: str) -> Iterator[Metric]:
    """Yield a share of the step with the ends of its 95 % interval."""
    yield Metric(key=key, unit="%", label=label, better="lower")
    yield Metric(key=f"{key}_low", unit="%", label=f"{label}, lower end of the 95 % interval")
    yield Metric(key=f"{key}_high", unit="%", label=f"{label}, upper end of the 95 % interval")


def _table(*metrics: Metric) -> dict[str, Metric]:
    return {metric.key: metric for metric in metrics}


METRICS = _table(
    Metric(key="train/loss", unit="nats", label="Training loss", better="lower", series=True),
    Metric(key="train/error_pct", unit="%", label="Training error, while training", better="lower", series=True),
    Metric(key="train/lr", unit="", label="Learning rate, at the epoch's last step", series=True),
    Metric(key="test/loss", unit="nats", label="Test loss", better="lower", series=True),
    Metric(key="test/error_pct", unit="%", label="Test error", better="lower", series=True),
    Metric(key="test/error_top5_pct", unit="%", label="Test error, top 5", better="lower", series=True),
    Metric(key="throughput/images_per_s", unit="images/s", label="Throughput", better="higher", series=True),
    Metric(key="time/train_s", unit="s", label="Training time, evaluation left out", better="lower", series=True),
    Metric(key="final/train_error_pct", unit="%", label="Final training error", better="lower"),
    Metric(key="final/train_loss", unit="nats", label="Final training loss", better="lower"),
    Metric(key="final/test_error_pct", unit="%", label="Final test error", better="lower"),
    Metric(key="final/test_error_top5_pct", unit="%", label="Final test error, top 5", better="lower"),
    Metric(key="final/test_loss", unit="nats", label="Final test loss", better="lower"),
    Metric(key="final/train_images", unit="images", label="Images behind the training error"),
    Metric(key="final/test_images", unit="images", label="Images behind the test error"),
    Metric(key="model/params", unit="", label="Parameters"),
    Metric(key="model/macs", unit="MAC", label="Multiply-accumulates, forward, one image"),
    Metric(key="model/train_flops_per_image", unit="FLOP", label="Training FLOPs, one image"),
    Metric(key="speed/images_per_s", unit="images/s", label="Training speed", better="higher"),
    Metric(key="speed/images_per_s_low", unit="images/s", label="Training speed, lower end of the 95 % interval"),
    Metric(key="speed/images_per_s_high", unit="images/s", label="Training speed, upper end of the 95 % interval"),
    Metric(key="speed/step_ms_p50", unit="ms", label="Step time, median", better="lower"),
    Metric(key="speed/step_ms_p95", unit="ms", label="Step time, 95th percentile", better="lower"),
    Metric(key="speed/steps_timed", unit="steps", label="Steps timed"),
    Metric(key="speed/train_flops_per_s", unit="FLOP/s", label="Training FLOPs per second", better="higher"),
    Metric(key="speed/mfu_pct", unit="%", label="Model FLOPs utilization", better="higher"),
    Metric(key="speed/measured_peak_pct", unit="%", label="Share of the measured peak", better="higher"),
    Metric(key="speed/block_images_per_s_p5", unit="images/s", label="Speed of 10 steps, 5th percentile"),
    Metric(key="speed/block_images_per_s_p50", unit="images/s", label="Speed of 10 steps, median", better="higher"),
    Metric(key="speed/block_images_per_s_p95", unit="images/s", label="Speed of 10 steps, 95th percentile"),
    Metric(key="speed/warmup_steps", unit="steps", label="Steps before the timed ones"),
    Metric(key="speed/warmed_up", unit="", label="Whether the steps were steady before they were timed: 1 or 0"),
    Metric(key="speed/drift_pct", unit="%", label="Step time, first fifth over second half, less 100 %"),
    Metric(key="speed/settled", unit="", label="Whether the speed no longer changed while it was timed: 1 or 0"),
    Metric(key="parts/forward_ms", unit="ms", label="Forward pass", better="lower"),
    Metric(key="parts/backward_ms", unit="ms", label="Backward pass", better="lower"),
    Metric(key="parts/optimizer_ms", unit="ms", label="Optimizer", better="lower"),
    Metric(key="parts/compute_ms", unit="ms", label="Step on a batch that lies on the device, alone", better="lower"),
    Metric(key="parts/data_ms", unit="ms", label="Step on real batches, alone", better="lower"),
    Metric(key="parts/whole_ms", unit="ms", label="Step on real batches with all workers", better="lower"),
    *_share("parts/data_stall_pct", "Data stall"),
    *_share("parts/communication_pct", "Exposed communication"),
    *_share("parts/straggler_pct", "What the fastest worker would wait for the slowest"),
    Metric(key="parts/slowest_rank", unit="", label="The slowest worker's rank"),
    Metric(key="roofline/flops_per_byte", unit="FLOP/byte", label="Arithmetic intensity of a training step"),
    Metric(key="roofline/ridge_flops_per_byte", unit="FLOP/byte", label="Intensity from which arithmetic binds"),
    Metric(key="roofline/attainable_pct", unit="%", label="Share of the roof that binds", better="higher"),
    Metric(key="device/matmul_flops_per_s", unit="FLOP/s", label="Measured peak, matrix products"),
    Metric(key="device/copy_bytes_per_s", unit="byte/s", label="Measured peak, memory copies"),
    Metric(key="time/total_s", unit="s", label="Trial time, everything", better="lower"),
    Metric(key="time/evaluate_s", unit="s", label="Time in evaluation", better="lower"),
    Metric(key="data/corrupt_images", unit="images", label="Images that could not be decoded", better="lower"),
    Metric(key="schedule/warmup_iterations", unit="steps", label="Length of a warm-up that ends by the training error"),
    Metric(key="device/memory_peak_gib", unit="GiB", label="Peak device memory", better="lower"),
    Metric(key="device/busy_pct", unit="%", label="Time in which some kernel ran"),
    Metric(key="device/sm_pct", unit="%", label="Multiprocessors busy", better="higher"),
    Metric(key="device/tensor_pct", unit="%", label="Tensor cores busy", better="higher"),
    Metric(key="device/dram_pct", unit="%", label="Memory bandwidth used"),
    Metric(key="device/power_w", unit="W", label="Power of one GPU, mean"),
    Metric(key="device/power_peak_w", unit="W", label="Power of one GPU, peak"),
    Metric(key="device/energy_j", unit="J", label="Energy of the trial, GPUs alone", better="lower"),
    Metric(key="device/energy_j_per_image", unit="J", label="Energy per image trained on, GPUs alone", better="lower"),
    Metric(key="host/cpu_pct", unit="%", label="Processors of the hosts, busy"),
    *_ladder(),
)


_RENAMED = {"val/": "test/", "final/val_": "final/test_"}
"""Former beginning of a metric's key -> its beginning today: what is measured on the test set bore the name `val`."""

_Value = TypeVar("_Value")


def current_key(key: str) -> str:
    """Return the key under which a metric is written today. Runs, bundles and outboxes may hold a former one."""
    old = next(filter(key.startswith, _RENAMED), None)
    return key if old is None else _RENAMED[old] + key.removeprefix(old)


def with_current_keys(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """Return the values of metrics by their current keys. A value under the current key is used before a former one.

    A run that was resumed by a newer version has both.
    """
    return {current_key(key): values.get(current_key(key), value) for key, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class Activity:
    """A measurement of a device or a host over time: a series under MLflow's own name, for its System metrics tab."""

    name: str
    """Name after `system/` and, if there are several nodes, the node; `{source}` is the device, such as `gpu_0`."""
    unit: str
    label: str


ACTIVITIES = {
    "busy_pct": Activity(name="{source}_utilization_percentage", unit="%", label="GPU: some kernel ran"),
    "memory_pct": Activity(name="{source}_memory_usage_percentage", unit="%", label="GPU: memory in use"),
    "power_w": Activity(name="{source}_power_usage_watts", unit="W", label="GPU: power"),
    "host_cpu_pct": Activity(name="cpu_utilization_percentage", unit="%", label="Host: processors busy"),
    "host_memory_pct": Activity(name="system_memory_usage_percentage", unit="%", label="Host: memory in use"),
}
"""Activities in the order in which a report shows them."""

BENCH = _table(
    *(
        Metric(key=f"bench/matmul_{precision}_flops_per_s", unit="FLOP/s", label=f"Matrix product, {precision}")
        for precision in ("fp32", "tf32", "bf16", "fp16")
    ),
    Metric(key="bench/copy_bytes_per_s", unit="B/s", label="Copy within memory, read and written"),
    Metric(key="bench/all_reduce_bytes_per_s", unit="B/s", label="All-reduce, bus bandwidth"),
    Metric(key="bench/all_reduce_latency_us", unit="us", label="All-reduce of one number", better="lower"),
    Metric(key="bench/disk_write_bytes_per_s", unit="B/s", label="Storage, written and safe"),
    Metric(key="bench/disk_read_bytes_per_s", unit="B/s", label="Storage, read"),
    Metric(key="bench/decode_images_per_s", unit="images/s", label="Photographs decoded, one thread"),
)
"""Measurements of a machine by `harness bench`. Each has `_low`, `_high` and `_n` too."""

STEPS_ARTIFACT = "steps.parquet"
ENVIRONMENT_ARTIFACT = "environment.json"
WORKLOAD_ARTIFACT = "workload.yaml"
TRIALS_ARTIFACT = "trials.json"
PLAN_ARTIFACT = "plan.json"
DEVIATIONS_ARTIFACT = "deviations.json"
MONITOR_FOLDER = "monitor"
MONITOR_ARTIFACT = f"{MONITOR_FOLDER}/summary.json"
BENCH_ARTIFACT = "bench.json"
REPORT_ARTIFACT = "report"


def trace_artifact(attempt: int) -> str:
    """Return the name of the trace of an attempt that failed."""
    return f"trace-{attempt}.txt"
