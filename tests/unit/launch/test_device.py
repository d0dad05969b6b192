"""The device that `auto` stands for, and its part in a trial's id."""

from __future__ import annotations

import pytest

from harness.launch import device
from harness.launch.device import on_device
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


def test_auto_is_a_gpu_where_there_is_one_and_the_trial_is_the_one_that_says_so(monkeypatch) -> None:
    for has, name in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(device, "has_gpus", lambda has=has: has)
        found = on_device(workload(), None)
        assert [scale.device for scale in found.scales] == [name]
        assert ids(found) == ids(workload(f"{{device: {name}}}"))
    assert ids(workload("{device: cpu}")) != ids(workload("{device: cuda}"))


def test_the_cluster_at_the_address_decides_and_not_this_machine(monkeypatch) -> None:
    import harness.cluster.session

    monkeypatch.setattr(device, "has_gpus", lambda: pytest.fail("asked this machine"))
    monkeypatch.setattr(harness.cluster.session, "cluster_has_gpus", lambda address: address == "head:6379")
    assert [scale.device for scale in on_device(workload(), "head:6379").scales] == ["cuda"]


def test_a_device_that_is_named_asks_nobody(monkeypatch) -> None:
    monkeypatch.setattr(device, "_has_gpus", lambda _address: pytest.fail("asked"))
    asked = workload("{device: [cpu, cuda]}")
    assert on_device(asked, "nowhere:1") is asked


def test_without_a_driver_torch_is_not_even_imported(monkeypatch) -> None:
    monkeypatch.setattr(device, "DRIVERS", ())
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert device.has_gpus() is False
