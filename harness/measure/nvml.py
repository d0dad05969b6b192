"""NVIDIA's management library (NVML): finding one's own devices in it, and reading them.

A device is found by what cannot shift: its UUID. NVML counts devices in the order of the bus, CUDA by default the
fastest first, and `CUDA_VISIBLE_DEVICES` renumbers CUDA's; a CUDA index says nothing about an NVML index.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pynvml

_PHYSICAL, _SLICE = "GPU-", "MIG-"
GIB = 2**30


class NoDevice(LookupError):
    """NVML is not here, or does not know the device."""


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A device as NVML knows it: a whole GPU, or a MIG slice of one."""

    handle: Any
    uuid: str
    name: str
    index: int
    """NVML's, of the whole GPU."""
    whole: Any = None
    """Handle of the GPU that this is a slice of."""
    instance: int | None = None
    """Of the slice: its GPU instance."""


def identifier(*, visible: str | None, cuda_index: int, cuda_uuid: str | None) -> str:
    """What to ask NVML for: the device that CUDA calls `cuda_index`.

    Args:
        visible: CUDA_VISIBLE_DEVICES: indices, UUIDs (`GPU-...`, which may be cut short) or MIG names; None if not set.
        cuda_index: of the device among those that are visible.
        cuda_uuid: what CUDA says is the device's UUID, without prefix; None if unknown.

    Raises:
        NoDevice: that many devices are not visible.
    """
    entries = [entry.strip() for entry in visible.split(",")] if visible is not None else None
    if entries is not None and not (cuda_index < len(entries) and entries[cuda_index]):
        raise NoDevice(f"CUDA_VISIBLE_DEVICES is {visible!r} and has no device {cuda_index}")
    entry = entries[cuda_index] if entries else str(cuda_index)
    if entry.startswith((_PHYSICAL, _SLICE)):
        return entry
    # A bare index is CUDA's; only CUDA itself can say which device it means.
    return f"{_PHYSICAL}{cuda_uuid}" if cuda_uuid else entry


def start() -> None:
    """Load the library; call `stop` once for each `start`.

    Raises:
        NoDevice: it is not installed, or has no driver to talk to.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NoDevice(f"NVML: {error}") from error


def stop() -> None:
    """Let go of the library."""
    with suppress(pynvml.NVMLError):
        pynvml.nvmlShutdown()


def find(wanted: str) -> Gpu:
    """The device that an identifier means: an index in NVML's order, a UUID or its beginning, a MIG name old or new.

    Raises:
        NoDevice: none, or several.
    """
    found = [gpu for gpu in every_device() if _is(gpu, wanted)]
    if len(found) != 1:
        raise NoDevice(f"NVML knows {len(found) or 'no'} device{'s' if found else ''} {wanted}")
    return found[0]


def every_device() -> Iterator[Gpu]:
    """Every GPU that answers, each followed by its slices."""
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
    # "Some kernel ran", be it on one multiprocessor of many: so it is called busy and not utilized.
    BUSY: lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu.handle).gpu,
    MEMORY: _memory_gib,
    MEMORY_PCT: _memory_pct,
    POWER: lambda gpu: pynvml.nvmlDeviceGetPowerUsage(gpu.handle) / 1e3,
    ENERGY: lambda gpu: pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu.handle) / 1e3,
    SM_CLOCK: lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu.handle, pynvml.NVML_CLOCK_SM),
    MEMORY_CLOCK: lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu.handle, pynvml.NVML_CLOCK_MEM),
    TEMPERATURE: lambda gpu: pynvml.nvmlDeviceGetTemperature(gpu.handle, pynvml.NVML_TEMPERATURE_GPU),
    # The older of two names for one thing: drivers before 535 know no other.
    SLOWDOWN: lambda gpu: pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu.handle),
}

GPM_METRICS = {
    SM: pynvml.NVML_GPM_METRIC_SM_UTIL,
    TENSOR: pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL,
    DRAM: pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL,
}
"""From Hopper on: what the multiprocessors did between two samples of the device's own counters."""

COLUMNS = (*CALLS, *GPM_METRICS, OTHERS)

SLOWDOWNS = {
    pynvml.nvmlClocksThrottleReasonSwPowerCap: "power cap",
    pynvml.nvmlClocksThrottleReasonHwSlowdown: "hardware slowdown",
    pynvml.nvmlClocksThrottleReasonSwThermalSlowdown: "heat, by software",
    pynvml.nvmlClocksThrottleReasonHwThermalSlowdown: "heat, by hardware",
    pynvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown: "power brake",
}
"""Reasons for a lower clock that make a measurement another one. Idle, and clocks that somebody chose, do not."""

NEVER = (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound, pynvml.NVMLError_NoPermission)
"""Answers that will not change: the metric is not asked for again."""
LOST = (pynvml.NVMLError_GpuIsLost,)


class GpuReader:
    """One device's metrics, each on its own: what is missing or fails leaves the others as they are."""

    def __init__(self, gpu: Gpu, *, own_pids: Collection[int] = ()) -> None:
        """Nothing is read yet.

        Args:
            gpu: of a library that is started.
            own_pids: the processes that are meant to use the device.
        """
        self.gpu = gpu
        self.absent: dict[str, str] = {}
        """Metric -> why it is not there, for good."""
        self.errors: dict[str, str] = {}
        """Metric -> the last error of one that works otherwise."""
        self.lost: str | None = None
        """Why the device does not answer any more."""
        self._own_pids = frozenset(own_pids)
        self._activity: _Activity | None = None
        if gpu.whole is not None:
            # What NVML says of a slice's power is its whole GPU's, with what other slices do in it.
            self.absent |= dict.fromkeys((POWER, ENERGY), "not told of a slice")

    def read(self) -> dict[str, float]:
        """What can be read now. The first time GPM has nothing to compare with, and nothing to say."""
        values: dict[str, float] = {}
        for name, call in CALLS.items():
            self._try(name, call, values)
        self._try(OTHERS, self._other_processes, values)
        self._read_activity(values)
        return values

    def close(self) -> None:
        """Free what the library holds for this device."""
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
        """Processes that hold memory of the device and are not ours.

        In a container NVML may list process ids of the host, among which ours are not: then the number must do.
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
    """GPM: two samples of the device's counters in turn, and what happened between them."""

    def __init__(self, gpu: Gpu) -> None:
        """Prepare.

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
        """Metric -> its value since the last call, or what went wrong with it alone."""
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
