"""The machine that a timing trial is named after."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from harness.cluster import session
from harness.launch.device import ThisMachine, resolve_devices
from harness.measure import identity
from harness.measure.identity import machine_here, merged
from harness.scheduling.feasibility import NodeResources
from harness.trial import Machine
from harness.workload.load import fingerprints, parse_workload
from harness.workload.matrix import expand

TEXT = """
name: w
dataset: digits
measure: throughput
matrix: {model: resnet_cifar, depth: 8}
recipe: {name: timing, batch_size: 64}
scale: {device: cpu}
seeds: 1
"""
H200 = Machine(device_name="NVIDIA H200", torch="2.9.0", cuda="12.8", driver="570.86")


def nvml(names: list[str | bytes], log: list[str]) -> SimpleNamespace:
    """Make a stand-in for the part of nvidia-ml-py that is used."""
    return SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: log.append("init"),
        nvmlShutdown=lambda: log.append("shutdown"),
        nvmlDeviceGetCount=lambda: len(names),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: names[handle],
        nvmlSystemGetDriverVersion=lambda: "570.86",
    )


def named_cpu(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Machine:
    """Return this machine by its CPU, with these and no other variables that choose a processor's kernels."""
    for name in identity.KERNELS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    identity.processor_name.cache_clear()
    try:
        return machine_here("cpu")
    finally:
        identity.processor_name.cache_clear()


def test_a_cpu_is_named_as_the_kernel_names_it_and_has_neither_cuda_nor_driver(monkeypatch) -> None:
    found = named_cpu(monkeypatch)
    kernel = Path("/proc/cpuinfo").read_text()
    assert found.device_name is not None
    assert f": {found.device_name}\n" in kernel or "model name" not in kernel
    assert (found.torch, found.cuda, found.driver) == (metadata.version("torch"), None, None)


def test_gpus_are_named_by_their_driver_whatever_cuda_lets_this_process_see(monkeypatch) -> None:
    log: list[str] = []
    monkeypatch.setitem(sys.modules, "pynvml", nvml(["NVIDIA H200", b"NVIDIA H200"], log))
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    found = machine_here("cuda")
    assert (found.device_name, found.cuda, found.driver) == ("NVIDIA H200", "12.8", "570.86")
    assert log == ["init", "shutdown"]


def test_where_nvml_does_not_answer_name_and_driver_are_unknown(monkeypatch) -> None:
    def refuses() -> None:
        raise RuntimeError("no driver")

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(NVMLError=RuntimeError, nvmlInit=refuses))
    found = machine_here("cuda")
    assert (found.device_name, found.driver) == (None, None)


def test_nodes_that_differ_are_all_named_and_equal_ones_once() -> None:
    other = Machine(device_name="NVIDIA A100-SXM4-80GB", torch="2.9.0", cuda="12.8", driver=None)
    assert merged([H200, other, H200]) == Machine(
        device_name="NVIDIA A100-SXM4-80GB + NVIDIA H200", torch="2.9.0", cuda="12.8", driver="570.86"
    )


def test_the_cluster_at_the_address_says_what_it_is_and_the_trials_settings_repeat_it(monkeypatch) -> None:
    monkeypatch.setattr(session, "machine_here", lambda device: pytest.fail("asked this machine"))
    monkeypatch.setattr(session, "machines_of", lambda nodes, device: [H200 for node in nodes if node == "b"])
    cluster = session.RaySession("head:6379")
    nodes = (NodeResources(cpus=8, gpus=0, name="a"), NodeResources(cpus=8, gpus=1, name="b"))
    monkeypatch.setattr(cluster, "nodes", lambda: nodes)
    asked = resolve_devices(parse_workload("w.yaml", TEXT.replace("cpu", "cuda")), cluster)
    (trial,) = expand(asked, fingerprints(asked))
    assert {key: value for key, value in trial.settings().items() if key.startswith("machine.")} == {
        "machine.device_name": "NVIDIA H200",
        "machine.device_count": 1.0,
        "machine.torch": "2.9.0",
        "machine.cuda": "12.8",
        "machine.driver": "570.86",
    }


def test_who_trains_is_not_asked(monkeypatch) -> None:
    monkeypatch.setattr(ThisMachine, "machine", lambda self, device: pytest.fail("asked"))
    asked = parse_workload("w.yaml", TEXT.replace("measure: throughput\n", ""))
    assert resolve_devices(asked, ThisMachine()) is asked


def test_variables_that_choose_a_processors_instructions_are_part_of_its_name(monkeypatch) -> None:
    """With them the processor rounds like another one, or is as fast as another one."""
    plain = named_cpu(monkeypatch, OMP_NUM_THREADS="2").device_name
    found = named_cpu(monkeypatch, MKL_CBWR="COMPATIBLE", ATEN_CPU_CAPABILITY="avx2").device_name
    assert found == f"{plain} with ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=COMPATIBLE"
    assert "OMP_NUM_THREADS" not in str(plain)


def test_to_name_a_cpu_needs_no_torch(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    identity.processor_name.cache_clear()
    assert machine_here("cpu").device_name
