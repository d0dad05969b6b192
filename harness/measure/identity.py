"""Properties of a machine that decide how fast a step is. Without a GPU, torch is not imported."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.trial import Machine

if TYPE_CHECKING:
    import torch


def machine_here(device: Literal["cpu", "cuda"]) -> Machine:
    """Return the properties of this machine; unknown ones are None."""
    torch_version = metadata.version("torch")
    if device == "cpu":
        return Machine(device_name=processor_name(), torch=torch_version, cuda=None, driver=None)
    import torch

    names, driver = _gpus()
    return Machine(device_name=names, torch=torch_version, cuda=torch.version.cuda, driver=driver)


def merged(machines: list[Machine]) -> Machine:
    """Merge machines into one, since a trial may run on any of them. Different values are joined by ` + `."""

    def every(name: str) -> str | None:
        found = {value for machine in machines if (value := getattr(machine, name)) is not None}
        return " + ".join(sorted(found)) or None

    return Machine(device_name=every("device_name"), torch=every("torch"), cuda=every("cuda"), driver=every("driver"))


KERNELS = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "GOMP_CPU_AFFINITY",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "OMP_PLACES",
    "OMP_PROC_BIND",
    "OMP_WAIT_POLICY",
    "ONEDNN_MAX_CPU_ISA",
)
"""Environment variables that choose among a processor's instructions, or decide on which cores its threads run and how
they wait. With them a processor may round like another one, or be as fast as another one."""


def cuda_uuid(device: torch.device) -> str | None:
    """Return the UUID of a GPU from CUDA, without a prefix; None on a CPU."""
    if device.type != "cuda":
        return None
    import torch

    return str(torch.cuda.get_device_properties(device).uuid)


@lru_cache(maxsize=1)
def processor_name() -> str:
    """Return the processor's own name, or else its architecture, and the variables of `KERNELS` set in this process."""
    environment = os.environ  # noqa: TID251  # the node's own, which may differ from the driver's
    found = [f"{name}={value}" for name in KERNELS if (value := environment.get(name))]
    return " with ".join(filter(None, (_own_name(), " ".join(found))))


def _own_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _gpus() -> tuple[str | None, str | None]:
    """Return the names of all GPUs of the machine and the version of their driver.

    This calls NVML and not CUDA: a process to which Ray gave no GPU sees none through CUDA.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None, None
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        names = " + ".join(sorted({_text(pynvml.nvmlDeviceGetName(handle)) for handle in handles}))
        return names or None, _text(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError:
        return None, None
    finally:
        pynvml.nvmlShutdown()


def _text(value: str | bytes) -> str:
    """Decode bytes, which older versions of the library return."""
    return value.decode() if isinstance(value, bytes) else value
