"""Measured peaks, one for each node, device and precision, in a file that the processes of a node share."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from harness.measure import machine_peaks
from harness.measure.identity import cuda_uuid
from harness.storage import write_atomic


@dataclass(frozen=True, kw_only=True)
class MeasuredPeak:
    """The best measured speed of one device. The best and not the median, because other work can only lower it."""

    device: str
    """UUID of a GPU; on a CPU, the number of threads that took part."""
    precision: str
    matmul_flops_per_s: float
    matmul_low: float
    """FLOPs per second in the slowest of `n` blocks, which shows how much other work was going on."""
    copy_bytes_per_s: float
    copy_low: float
    n: int
    torch_version: str


def measured_peak(device: torch.device, precision: str, *, folder: Path | None = None) -> MeasuredPeak:
    """Return the peak of a device in a precision; measure it now if no process of this node has done so before.

    A process that comes while another one measures waits, and takes its result: two at once would slow each other down.

    Args:
        device: one GPU, or the CPU with as many threads as torch has now.
        precision: fp32, tf32, bf16 or fp16.
        folder: folder of the cache; None for this user's, in the node's folder for temporary files.

    Raises:
        ValueError: the device does not compute in this precision.
    """
    if precision not in machine_peaks.precisions(device):
        allowed = ", ".join(machine_peaks.precisions(device))
        raise ValueError(f"no peak in {precision} on {device.type}: it computes in {allowed}")
    identity = {"device": _identity(device), "precision": precision, "torch_version": torch.__version__}
    with _locked(folder or _folder(), identity) as file:
        known = _read(file, identity) if file else None
        if known is None:
            known = _measure(device, identity)
            if file:
                write_atomic(file, json.dumps(asdict(known), sort_keys=True).encode())
    return known


def share_of_measured_peak_pct(flops_per_s: float, peak: MeasuredPeak, *, devices: int) -> float:
    """Return a rate of FLOPs in percent of the devices' measured matrix-product peak.

    Args:
        flops_per_s: rate of all devices together.
        peak: peak of one of them.
        devices: number of GPUs, or of workers on CPUs (each was given the threads that the peak was measured with).
    """
    return 100 * flops_per_s / (peak.matmul_flops_per_s * devices)


def _measure(device: torch.device, identity: dict[str, str]) -> MeasuredPeak:
    matmul = machine_peaks.matmul_flops_per_s(device, identity["precision"])
    copy = machine_peaks.copy_bytes_per_s(device)
    return MeasuredPeak(
        **identity,
        matmul_flops_per_s=matmul.high,
        matmul_low=matmul.low,
        copy_bytes_per_s=copy.high,
        copy_low=copy.low,
        n=matmul.n,
    )


def _identity(device: torch.device) -> str:
    uuid = cuda_uuid(device)
    return f"cpu, {torch.get_num_threads()} threads" if uuid is None else f"GPU-{uuid}"


def _folder() -> Path:
    """Return this user's own folder: other users can neither read it nor write to it."""
    return Path(tempfile.gettempdir()) / f"resnet-harness-{os.getuid()}" / "peaks"


@contextmanager
def _locked(folder: Path, identity: dict[str, str]) -> Iterator[Path | None]:
    """Lock the file of one peak against other processes, and yield it; None if nothing can be stored here."""
    key = hashlib.sha256(json.dumps([socket.gethostname(), identity], sort_keys=True).encode()).hexdigest()[:16]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise PermissionError(folder)
        lock = (folder / f"{key}.lock").open("a")
    except OSError:
        yield None
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            yield None
            return
        yield folder / f"{key}.json"


def _read(file: Path, identity: dict[str, str]) -> MeasuredPeak | None:
    """Return the peak in the file; None if the file holds something else, for example an older version."""
    try:
        known = MeasuredPeak(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return known if identity.items() <= asdict(known).items() else None
