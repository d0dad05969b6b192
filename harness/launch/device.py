"""The device behind `auto`, and the machine of timing trials. Both are settled before trials get their ids."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from harness.measure.identity import machine_here
from harness.trial import Machine
from harness.workload.load import Workload

DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Device files, one of which exists where NVIDIA's driver runs (dxg on Windows). Without one, torch is not asked."""


def on_device(workload: Workload, address: str | None) -> Workload:
    """Return the workload with every scale on an existing device: `auto` is cuda if there are GPUs, else cpu.

    Args:
        workload: the workload as its file defines it.
        address: address of the Ray cluster that runs it; None for this machine.

    Raises:
        ClusterUnreachable: the cluster must be asked, but does not answer at the address.
    """
    if all(scale.device != "auto" for scale in workload.scales):
        return workload
    return with_device(workload, "cuda" if _has_gpus(address) else "cpu")


def with_device(workload: Workload, device: Literal["cpu", "cuda"]) -> Workload:
    """Return the workload with this device in place of each `auto`."""
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


def on_machine(workload: Workload, address: str | None) -> Workload:
    """Return a workload that measures throughput with the machine of each of its devices; return others unchanged.

    Args:
        workload: the workload with its devices settled by `on_device`.
        address: address of the Ray cluster that runs it; None for this machine.

    Raises:
        ClusterUnreachable: the cluster must be asked, but does not answer at the address.
    """
    if workload.measure != "throughput":
        return workload
    devices = dict.fromkeys(scale.device for scale in workload.scales)
    return replace(workload, machines={device: _machine(device, address) for device in devices if device != "auto"})


def _machine(device: Literal["cpu", "cuda"], address: str | None) -> Machine:
    if address is None:
        return machine_here(device)
    from harness.cluster.machines import machine_of_cluster  # imports Ray

    return machine_of_cluster(address, device)
