"""The device that `auto` stands for, and its part in a trial's id."""

from __future__ import annotations

import pytest

from harness.launch import device
from harness.launch.device import devices_at, resolve_devices
from harness.scheduling.feasibility import NodeResources
from harness.trial import Machine
from harness.workload.load import Workload, fingerprints, parse_workload
from harness.workload.matrix import expand

TEXT = """
name: w
dataset: digits
matrix: {model: resnet_cifar, depth: 8}
recipe: quick
seeds: 1
"""


def workload(scale: str = "{}") -> Workload:
    return parse_workload("w.yaml", TEXT + f"scale: {scale}\n")


def ids(asked: Workload) -> list[str]:
    return [trial.id for trial in expand(asked, fingerprints(asked))]


class Cluster:
    """Devices that are given, and a note of what was asked."""

    def __init__(self, *, gpus: bool) -> None:
        self._gpus = gpus
        self.calls: list[str] = []

    def has_gpus(self) -> bool:
        self.calls.append("has_gpus")
        return self._gpus

    def machine(self, device: str) -> Machine:
        self.calls.append(device)
        return Machine(device_name=f"a {device}", torch=None, cuda=None, driver=None)


@pytest.mark.parametrize(("gpus", "name"), [(False, "cpu"), (True, "cuda")])
def test_auto_is_a_gpu_where_there_is_one_and_the_trial_is_the_one_that_says_so(gpus: bool, name: str) -> None:
    found = resolve_devices(workload(), Cluster(gpus=gpus))
    assert [scale.device for scale in found.scales] == [name]
    assert ids(found) == ids(workload(f"{{device: {name}}}"))
    assert ids(workload("{device: cpu}")) != ids(workload("{device: cuda}"))


def test_a_device_that_is_named_asks_nobody() -> None:
    cluster, named = Cluster(gpus=True), workload("{device: [cpu, cuda]}")
    assert resolve_devices(named, cluster) is named
    assert cluster.calls == []


def test_this_machine_is_asked_unless_an_address_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_gpus", lambda: True)
    with devices_at(None) as devices:
        assert devices.has_gpus()
    with devices_at("head:6379") as devices:
        monkeypatch.setattr(devices, "nodes", lambda: (NodeResources(cpus=4, gpus=0, name="a"),))
        assert not devices.has_gpus()


def test_without_a_driver_torch_is_not_even_imported(monkeypatch) -> None:
    monkeypatch.setattr(device, "DRIVERS", ())
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert device.has_gpus() is False
