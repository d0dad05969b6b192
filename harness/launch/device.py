"""Which device `auto` is. Settled before trials have ids: what a CPU found is no result, no checkpoint, of a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from harness.workload import Workload

DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""One is there where NVIDIA's driver runs; dxg is Windows' own way to it. Without one torch need not be asked."""


def on_device(workload: Workload, address: str | None) -> Workload:
    """The workload with every scale on a device that exists: `auto` is cuda where there are GPUs, else cpu.

    Args:
        workload: as its file says.
        address: of the Ray cluster that runs it; None for this machine.

    Raises:
        ClusterUnreachable: the cluster must be asked, and nobody answers at the address.
    """
    if all(scale.device != "auto" for scale in workload.scales):
        return workload
    return with_device(workload, "cuda" if _has_gpus(address) else "cpu")


def with_device(workload: Workload, device: Literal["cpu", "cuda"]) -> Workload:
    """The workload with this device wherever it says `auto`."""
    scales = (replace(scale, device=device) if scale.device == "auto" else scale for scale in workload.scales)
    return replace(workload, scales=tuple(scales))


def _has_gpus(address: str | None) -> bool:
    if address is None:
        return has_gpus()
    from harness.cluster.session import cluster_has_gpus  # imports Ray

    return cluster_has_gpus(address)


def has_gpus() -> bool:
    """Whether this machine has a GPU that torch can use."""
    if not any(path.exists() for path in DRIVERS):
        return False
    import torch

    return torch.cuda.is_available()
