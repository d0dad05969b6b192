"""On which machine a workload is timed. Settled before trials have ids: another machine's speed is another result."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from harness.measure.identity import machine_here
from harness.trial import Machine
from harness.workload import Workload


def on_machine(workload: Workload, address: str | None) -> Workload:
    """A workload that times, with the machine of each of its devices; others as they are.

    Args:
        workload: its devices settled by `on_device`.
        address: of the Ray cluster that runs it; None for this machine.

    Raises:
        ClusterUnreachable: the cluster must be asked, and nobody answers at the address.
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
