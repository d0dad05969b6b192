"""NVIDIA's management library (NVML): how to find a process's own devices in it, and how to read them.

A device is found by its UUID, which never changes. NVML counts devices in the order of the bus, and CUDA by default
with the fastest first. `CUDA_VISIBLE_DEVICES` renumbers CUDA's devices. So a CUDA index says nothing about an NVML
index.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pynvml

_PHYSICAL, _SLICE = "GPU-", "MIG-"
GIB = 2**30
STOP_S = 20.0
"""Seconds that the library may take to be released."""


class NoDevice(LookupError):
    """NVML is not available, or does not know the device."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A device as NVML knows it: a whole GPU, or a MIG slice of one."""

    handle: Any
    uuid: str
    name: str
    index: int
    """NVML's index of the whole GPU."""
    whole: Any = None
    """Handle of the GPU that this slice is part of; None for a whole GPU."""
    instance: int | None = None
    """GPU instance of the slice; None for a whole GPU."""


def identifier(*, visible: str | None, cuda_index: int, cuda_uuid: str | None) -> str:
    """Return the identifier by which NVML finds the device that CUDA calls `cuda_index`.

    Args:
        visible: CUDA_VISIBLE_DEVICES: indices, UUIDs (`GPU-...`, which may be cut short) or MIG names; None if not set.
        cuda_index: index of the device among the visible ones.
        cuda_uuid: the device's UUID from CUDA, without prefix; None if unknown.

    Raises:
        NoDevice: fewer devices are visible.
    """
    entries = [entry.strip() for entry in visible.split(",")] if visible is not None else None
    if entries is not None and not (cuda_index < len(entries) and entries[cuda_index]):
        raise NoDevice(f"CUDA_VISIBLE_DEVICES is {visible!r} and has no device {cuda_index}")
    entry = entries[cuda_index] if entries else str(cuda_index)
    if entry.startswith((_PHYSICAL, _SLICE)):
        return entry
    # A bare index is CUDA's, and only CUDA itself can say which device it means.
    return f"{_PHYSICAL}{cuda_uuid}" if cuda_uuid else entry


def start() -> None:
    """Load the library. Call `stop` once for each `start`.

    Raises:
        NoDevice: the library is not installed, or finds no driver.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoDevice(f"NVML: {error}") from error


def stop() -> None:
    """Release the library. One that does not answer is left as it is after some seconds."""
    release = threading.Thread(target=_shut_down, name="nvml-shutdown", daemon=True)
    release.start()
    release.join(STOP_S)


def _shut_down() -> None:
    with suppress(pynvml.NVMLError):
        pynvml.nvmlShutdown()


def find(wanted: str) -> Gpu:
    """Return the device with this identifier: an index in NVML's order, a UUID or its start, or an old or new MIG name.

    Raises:
        NoDevice: no device has it, or several do.
    """
    found = [gpu for gpu in every_device() if _is(gpu, wanted)]
    if len(found) != 1:
        raise NoDevice(f"NVML knows {len(found) or 'no'} device{'s' if found else ''} {wanted}")
    return found[0]


def every_device() -> Iterator[Gpu]:
    """Yield every GPU that answers, each followed by its slices."""
    for index in range(_or(pynvml.nvmlDeviceGetCount, 0)):
        with suppress(pynvml.NVMLError):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            yield _gpu(handle, index)
            for place in range(_or(lambda: pynvml.nvmlDeviceGetMaxMigDeviceCount(handle), 0)):  # noqa: B023  called at once
                with suppress(pynvml.NVMLError):
                    piece = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
                    yield _gpu(piece, index, whole=handle, instance=pynvml.nvmlDeviceGetGpuInstanceId(piece))


def _gpu(handle: Any, index: int, *, whole: Any = None, instance: int | None = None) -> Gpu:
    uuid, name = pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetName(handle)
    return Gpu(handle=handle, uuid=uuid, name=name, index=index, whole=whole, instance=instance)


def _is(gpu: Gpu, wanted: str) -> bool:
    if wanted.isdigit():
        return gpu.whole is None and gpu.index == int(wanted)
    if wanted.startswith("MIG-GPU-"):  # drivers before 470: MIG-<the GPU's UUID>/<GPU instance>/<compute instance>
        return gpu.whole is not None and _old_name(gpu) == wanted
    return gpu.uuid.startswith(wanted)


def _old_name(gpu: Gpu) -> str:
    compute = _or(lambda: pynvml.nvmlDeviceGetComputeInstanceId(gpu.handle), None)
    return f"MIG-{pynvml.nvmlDeviceGetUUID(gpu.whole)}/{gpu.instance}/{compute}"


def _or(question: Callable[[], Any], otherwise: Any) -> Any:
    try:
        return question()
    except pynvml.NVMLError:
        return otherwise


# --- what is read -----------------------------------------------------------------------------------------------------

BUSY, SM, TENSOR, DRAM = "busy_pct", "sm_pct", "tensor_pct", "dram_pct"
MEMORY, MEMORY_PCT, POWER, ENERGY = "memory_gib", "memory_pct", "power_w", "energy_counter_j"
SM_CLOCK, MEMORY_CLOCK, TEMPERATURE = "sm_clock_mhz", "memory_clock_mhz", "temperature_c"
SLOWDOWN, OTHERS = "slowdown_bits", "other_processes"


def _memory_gib(gpu: Gpu) -> float:
    return float(pynvml.nvmlDeviceGetMemoryInfo(gpu.handle).used / GIB)


def _memory_pct(gpu: Gpu) -> float:
    memory = pynvml.nvmlDeviceGetMemoryInfo(gpu.handle)
    return float(100 * memory.used / memory.total)


CALLS: dict[str, Callable[[Gpu], float]] = {
    # The share of time in which some kernel ran, even on one multiprocessor of many: so it is busy, not utilized.
    BUSY: lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu.handle).gpu,
    MEMORY: _memory_gib,
    MEMORY_PCT: _memory_pct,
    POWER: lambda gpu: pynvml.nvmlDeviceGetPowerUsage(gpu.handle) / 1e3,
    ENERGY: lambda gpu: pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle) / 1e3,
    SM_CLOCK: lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu.handle, pynvml.NVML_CLOCK_SM),
    MEMORY_CLOCK: lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu.handle, pynvml.NVML_CLOCK_MEM),
    TEMPERATURE: lambda gpu: pynvml.nvmlDeviceGetTemperature(gpu.handle, pynvml.NVML_TEMPERATURE_GPU),
    # The older of two names for the same function: drivers before 535 know no other.
    SLOWDOWN: lambda gpu: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu.handle),
}

GPM_METRICS = {
    SM: pynvml.NVML_GPM_METRIC_SM_UTIL,
    TENSOR: pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL,
    DRAM: pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL,
}
"""Metric -> its number in NVML. From Hopper on: activity between two samples of the device's own counters."""

COLUMNS = (*CALLS, *GPM_METRICS, OTHERS)

SLOWDOWNS = {
    pynvml.nvmlClocksThrottleReasonSwPowerCap: "power cap",
    pynvml.nvmlClocksThrottleReasonHwSlowdown: "hardware slowdown",
    pynvml.nvmlClocksThrottleReasonSwThermalSlowdown: "heat, by software",
    pynvml.nvmlClocksThrottleReasonHwThermalSlowdown: "heat, by hardware",
    pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown: "power brake",
}
"""Bit -> reason for a lower clock that distorts a measurement. An idle device does not distort it, nor do clocks that a
user has set."""

NEVER = (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound, pynvml.NVMLError_NoPermission)
"""Errors that will not go away: the metric is not requested again."""
LOST = (pynvml.NVMLError_GpuIsLost,)


class GpuReader:
    """Reader of one device's metrics, each by itself: if one is missing or fails, the others are not affected."""

    def __init__(self, gpu: Gpu, *, own_pids: Collection[int] = ()) -> None:
        """Prepare to read the device; nothing is read yet.

        Args:
            gpu: a device of the library, which must be loaded.
            own_pids: the processes that are meant to use the device.
        """
        self.gpu = gpu
        self.absent: dict[str, str] = {}
        """Metric -> why it is missing for good."""
        self.errors: dict[str, str] = {}
        """Metric -> the last error of a metric that works at other times."""
        self.lost: str | None = None
        """Why the device does not answer any more; None if it does."""
        self._own_pids = frozenset(own_pids)
        self._activity: _Activity | None = None
        if gpu.whole is not None:
            # For a slice NVML reports the power of the whole GPU, which includes the other slices.
            self.absent |= dict.fromkeys((POWER, ENERGY), "not reported for a slice")

    def read(self) -> dict[str, float]:
        """Return all values that can be read now. The first time GPM has no earlier sample, so it gives no values."""
        values: dict[str, float] = {}
        for name, call in CALLS.items():
            self._try(name, call, values)
        self._try(OTHERS, self._other_processes, values)
        self._read_activity(values)
        return values

    def close(self) -> None:
        """Free the library's resources for this device."""
        if self._activity is not None:
            self._activity.close()

    def _try(self, name: str, call: Callable[[Gpu], float], values: dict[str, float]) -> None:
        if self.lost is not None or name in self.absent:
            return
        try:
            values[name] = float(call(self.gpu))
        except pynvml.NVMLError as error:
            self._failed((name,), error)

    def _failed(self, names: Collection[str], error: pynvml.NVMLError) -> None:
        if isinstance(error, LOST):
            self.lost = str(error)
        elif isinstance(error, NEVER):
            self.absent |= dict.fromkeys(names, str(error))
        else:
            self.errors |= dict.fromkeys(names, str(error))

    def _other_processes(self, gpu: Gpu) -> int:
        """Count the processes that hold memory of the device and are not ours.

        In a container NVML may list process ids of the host, which do not include ours. Then only the numbers are
        compared.
        """
        pids = {process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(gpu.handle)}
        strangers = pids - self._own_pids
        return len(strangers) if pids & self._own_pids else max(0, len(pids) - len(self._own_pids))

    def _read_activity(self, values: dict[str, float]) -> None:
        if self.lost is not None or GPM_METRICS.keys() <= self.absent.keys():
            return
        try:
            if self._activity is None:
                self._activity = _Activity(self.gpu)
            found = self._activity.read()
        except pynvml.NVMLError as error:
            self._failed(GPM_METRICS, error)
            return
        for name, value in found.items():
            if isinstance(value, pynvml.NVMLError):
                self._failed((name,), value)
            else:
                values[name] = value


class _Activity:
    """GPM: two alternating samples of the device's counters, and the activity between them."""

    def __init__(self, gpu: Gpu) -> None:
        """Allocate two samples.

        Raises:
            pynvml.NVMLError_NotSupported: the device has no such counters.
        """
        self._gpu = gpu
        whole = gpu.handle if gpu.whole is None else gpu.whole
        if not pynvml.nvmlGpmQueryDeviceSupport(whole).isSupportedDevice:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        self._samples = [pynvml.nvmlGpmSampleAlloc(), pynvml.nvmlGpmSampleAlloc()]
        self._has_one = False

    def read(self) -> dict[str, float | pynvml.NVMLError]:
        """Return metric -> its value since the last call, or its own error."""
        before, now = self._samples
        if self._gpu.whole is None:
            pynvml.nvmlGpmSampleGet(self._gpu.handle, now)
        else:
            pynvml.nvmlGpmMigSampleGet(self._gpu.whole, self._gpu.instance, now)
        self._samples = [now, before]
        if not self._has_one:
            self._has_one = True
            return {}
        return _between(before, now)

    def close(self) -> None:
        for sample in self._samples:
            with suppress(pynvml.NVMLError):
                pynvml.nvmlGpmSampleFree(sample)


def _between(before: Any, now: Any) -> dict[str, float | pynvml.NVMLError]:
    question = pynvml.c_nvmlGpmMetricsGet_t()
    question.version = pynvml.NVML_GPM_METRICS_GET_VERSION
    question.numMetrics = len(GPM_METRICS)
    question.sample1, question.sample2 = before, now
    for place, metric in enumerate(GPM_METRICS.values()):
        question.metrics[place].metricId = metric
    pynvml.nvmlGpmMetricsGet(question)
    answers = (question.metrics[place] for place in range(len(GPM_METRICS)))
    return {
        name: pynvml.NVMLError(answer.nvmlReturn) if answer.nvmlReturn else float(answer.value)
        for name, answer in zip(GPM_METRICS, answers, strict=True)
    }
