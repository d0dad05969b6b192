"""The device behind `auto`, and the machine of timing trials. Both are resolved before trials get their ids."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

from harness.measure.identity import machine_here
from harness.signals import StopSignal
from harness.trial import Machine
from harness.workload.load import Workload

DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""Device files, one of which exists where NVIDIA's driver runs (dxg on Windows). Without one, torch is not asked."""


class Devices(Protocol):
    """The devices that trials run on: those of this machine, or a `harness.cluster.session.RaySession`'s."""

    def has_gpus(self) -> bool:
        """Return whether there is a GPU.

        Raises:
            ClusterUnreachable: the cluster does not answer.
        """
        ...

    def machine(self, device: Literal["cpu", "cuda"]) -> Machine:
        """Describe the machine, or all nodes as one machine. Raises the same error as `has_gpus`."""
        ...


class ThisMachine:
    """The devices of this machine."""

    def has_gpus(self) -> bool:
        """Return whether torch can use a GPU here."""
        return has_gpus()

    def machine(self, device: Literal["cpu", "cuda"]) -> Machine:
        """Describe this machine."""
        return machine_here(device)


@contextlib.contextmanager
def devices_at(address: str | None) -> Iterator[Devices]:
    """Give the devices of the Ray cluster at an address, or of this machine if it is None."""
    if address is None:
        yield ThisMachine()
        return
    from harness.cluster.session import RaySession  # imports Ray

    with StopSignal(), RaySession(address) as session:
        yield session


def resolve_devices(workload: Workload, devices: Devices) -> Workload:
    """Return the workload with every scale on an existing device, and with its machines if it measures throughput.

    The device `auto` is cuda if there are GPUs, else cpu. Nobody is asked if the workload needs no answer.

    Raises:
        ClusterUnreachable: the cluster does not answer.
    """
    if any(scale.device == "auto" for scale in workload.scales):
        workload = with_device(workload, "cuda" if devices.has_gpus() else "cpu")
    if workload.measure != "throughput":
        return workload
    kinds = dict.fromkeys(scale.device for scale in workload.scales)
    return replace(workload, machines={kind: devices.machine(kind) for kind in kinds if kind != "auto"})


def with_device(workload: Workload, device: Literal["cpu", "cuda"]) -> Workload:
    """Return the workload with this device in place of each `auto`."""
    scales = (replace(scale, device=device) if scale.device == "auto" else scale for scale in workload.scales)
    return replace(workload, scales=tuple(scales))


def has_gpus() -> bool:
    """Return whether this machine has a GPU that torch can use."""
    if not any(path.exists() for path in DRIVERS):
        return False
    import torch

    return torch.cuda.is_available()
