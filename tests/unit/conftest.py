"""A simulated NVML: a C library with its symbols, below the unmodified nvidia-ml-py."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pynvml
import pytest

FIELDS = (
    "busy",
    "memory_used",
    "memory_total",
    "power_mw",
    "energy_mj",
    "sm_clock",
    "memory_clock",
    "temperature",
    "reasons",
    "gpm_support",
    "gpm_sm",
    "gpm_tensor",
    "gpm_dram",
    "processes",
)
"""Names of the fields, in the order of the C source's enumeration."""


class Device:
    """One device of the simulation."""

    def __init__(self, library, index: int) -> None:
        self._library, self.index = library, index

    def set(self, **values: float) -> None:
        for field, value in values.items():
            self._library.fake_set(self.index, FIELDS.index(field), ctypes.c_double(value))

    def fail(self, field: str, code: int) -> None:
        """Make readings of a field fail with this code; code 0 repairs it."""
        self._library.fake_fail(self.index, FIELDS.index(field), code)

    def lose(self) -> None:
        self._library.fake_lose(self.index)

    def hold_memory(self, pid: int) -> None:
        self._library.fake_process(self.index, pid)


class FakeNvml:
    """The simulated machine."""

    def __init__(self, library) -> None:
        self._library = library
        library.fake_reset()

    def gpu(self, uuid: str, name: str = "NVIDIA H200") -> Device:
        return self._add(uuid, name, -1, 0, 0)

    def slice(self, whole: Device, uuid: str, *, instance: int, compute_instance: int = 0) -> Device:
        return self._add(uuid, "NVIDIA H200 MIG 1g.18gb", whole.index, instance, compute_instance)

    def no_driver(self) -> None:
        self._library.fake_init_error(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    @property
    def held(self) -> tuple[int, int]:
        """Number of starts without a stop, and of GPM samples that nobody freed."""
        return self._library.fake_started(), self._library.fake_samples()

    def _add(self, uuid: str, name: str, whole: int, instance: int, compute_instance: int) -> Device:
        return Device(
            self._library, self._library.fake_add(uuid.encode(), name.encode(), whole, instance, compute_instance)
        )


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory) -> Path:
    """Compile the library in a folder of its own, so that LD_LIBRARY_PATH can name it."""
    library = tmp_path_factory.mktemp("nvml") / "libnvidia-ml.so.1"
    source = Path(__file__).parents[1] / "support" / "fake_nvml.c"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{library.name}"]
    subprocess.run(["gcc", *flags, "-o", library, source], check=True)
    return library


@pytest.fixture
def fake_nvml(nvml_library, monkeypatch):
    """Provide NVML for this test: nvidia-ml-py loads it by its usual name, which the loader knows from now on."""
    library = ctypes.CDLL(str(nvml_library))
    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    fake = FakeNvml(library)
    yield fake
    assert fake.held == (0, 0)
    fake.no_driver()
