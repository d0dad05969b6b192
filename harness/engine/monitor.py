"""The monitor of one attempt: one rank watches each device, and all ranks train as if nobody watched."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from harness.engine.context import Monitoring, TrialContext
from harness.engine.distributed import all_objects
from harness.events import ArtifactWritten, EpochEnded, Event, Monitored, TrialEnded, TrialStarted, now_ms
from harness.measure import nvml
from harness.measure.device_results import describe, measured, of_timed_steps
from harness.measure.host import HostReader
from harness.measure.identity import cuda_uuid
from harness.measure.sampler import DEVICE_PERIOD_S, HOST_PERIOD_S, RawFile, Reader, Sampler, Source, Summary
from harness.measure.system_names import shown_series
from harness.measure.windows import Window
from harness.schema import MONITOR_ARTIFACT, MONITOR_FOLDER
from harness.storage import write_atomic
from harness.trial import Trial

SEND_EVERY_MS = 10_000
"""Milliseconds between two sends while a trial runs; the rest is sent at its end."""

Shown = Mapping[tuple[str, str, str], str]
"""Host, source and metric -> MLflow's name of the series."""


@dataclass(frozen=True)
class RankLocation:
    """Host, device and process of one rank, sent to all ranks."""

    host: str
    device: str | None
    """UUID of the GPU; None on a CPU."""
    pid: int


@dataclass(frozen=True)
class SamplerSummary:
    """Results of one rank's sampler at the end."""

    host: str
    summaries: Sequence[Summary]
    windows: Mapping[str, Sequence[Window]] = field(default_factory=dict)
    raw: str | None = None
    """Path of the file with all readings, relative to the trial's folder."""
    fault: str | None = None


@contextmanager
def monitored(trial: Trial, context: TrialContext) -> Iterator[Monitor]:
    """Watch the devices while the block runs. All ranks take part."""
    monitor = Monitor(trial, context, context.monitoring)
    try:
        yield monitor
    finally:
        monitor.stop()


class Monitor:
    """One rank's share of watching an attempt. It does nothing if the context asks for no monitoring."""

    def __init__(self, trial: Trial, context: TrialContext, monitoring: Monitoring | None) -> None:
        self._trial, self._plain = trial, context
        self._sampler: Sampler | None = None
        self._uses_nvml = False
        self._missing: dict[str, str] = {}
        self._sent_ms = now_ms()
        self._epochs: tuple[float, float] | None = None
        self.context = context
        """Context to run the attempt with."""
        if monitoring is None:
            return
        self.context = replace(context, emit=self._emit, timing=self._timing)
        locations = all_objects(_location_of_this_rank(context.device), context.world_size)
        self._shown = shown_series(_sources_of(locations))
        self._raw = Path(MONITOR_FOLDER, f"attempt-{context.attempt}-rank-{context.rank}.csv.gz")
        self._start(locations, monitoring)

    def stop(self) -> None:
        """End the thread, whatever the result of the attempt."""
        if self._sampler is not None:
            self._sampler.stop()
        if self._uses_nvml:
            nvml.stop()
            self._uses_nvml = False

    def finish(self, ended: TrialEnded) -> TrialEnded:
        """Add the measurements to an attempt's end; series, tags and files are sent first. All ranks take part."""
        if self._plain.monitoring is None:
            return ended
        self.stop()
        mine = self._summary_of_sampler(), self._images(), self._began_at_zero
        everyone = all_objects(mine, self._plain.world_size)
        samplers = [sampler for sampler, *_ in everyone if sampler is not None]
        summaries = [summary for sampler in samplers for summary in sampler.summaries]
        if self._plain.rank == 0:
            self._send_results(samplers, summaries)
        if not ended.outcome.is_result:
            return ended
        values = measured(summaries, images=everyone[0][1], whole_trial=everyone[0][2])
        values |= of_timed_steps(summaries, images_per_s=ended.results.get("speed/images_per_s"))
        return replace(ended, results={**ended.results, **values})

    # --- while it runs ------------------------------------------------------------------------------------------------

    def _start(self, locations: Sequence[RankLocation], monitoring: Monitoring) -> None:
        sources = list(self._own_sources(locations, monitoring))
        if sources:
            folder = self._plain.folder
            self._sampler = Sampler(sources, RawFile(folder / self._raw))
            self._sampler.start()

    def _own_sources(self, locations: Sequence[RankLocation], monitoring: Monitoring) -> Iterator[Source]:
        """Yield this rank's sources: a device is watched by the first rank on it, a host by the first rank there."""
        mine, rank = locations[self._plain.rank], self._plain.rank
        if (
            mine.device is not None
            and _first(locations, lambda location: _device_of(location) == _device_of(mine)) == rank
        ):
            name = f"gpu_{_devices_of(locations, mine.host).index(mine.device)}"
            pids = [location.pid for location in locations if _device_of(location) == _device_of(mine)]
            reader, device = self._gpu_reader(name, monitoring, pids)
            if reader is not None:
                yield Source(name=name, device=device, reader=reader, period_s=DEVICE_PERIOD_S)
        if _first(locations, lambda location: location.host == mine.host) == rank:
            yield Source(name="host", device=mine.host, reader=HostReader(), period_s=HOST_PERIOD_S)

    def _gpu_reader(self, name: str, monitoring: Monitoring, pids: Sequence[int]) -> tuple[Reader | None, str]:
        try:
            wanted = nvml.identifier(
                visible=monitoring.visible_devices,
                cuda_index=self._plain.device.index or 0,
                cuda_uuid=cuda_uuid(self._plain.device),
            )
            nvml.start()
            self._uses_nvml = True
            gpu = nvml.find(wanted)
        except nvml.NoDevice as reason:
            self._missing[name] = str(reason)
            return None, ""
        return nvml.GpuReader(gpu, own_pids=pids), f"{gpu.uuid} {gpu.name}"

    def _emit(self, event: Event) -> None:
        """Pass an event on, and now and then send the readings so far after it. Only rank 0 emits."""
        self._plain.emit(event)
        match event:
            case TrialStarted():
                self._epochs = (event.resumed_epoch or 0.0, event.resumed_epoch or 0.0)
            case EpochEnded():
                self._epochs = (self._epochs[0] if self._epochs else 0.0, event.epoch)
                self._send_some()

    def _timing(self, running: bool) -> None:
        if self._sampler is not None:
            self._sampler.timing = running

    def _send_some(self) -> None:
        now = now_ms()
        if self._sampler is None or now - self._sent_ms < SEND_EVERY_MS:
            return
        self._sent_ms = now
        self._send_series(socket.gethostname(), self._sampler.take(), {})

    # --- at the end ---------------------------------------------------------------------------------------------------

    @property
    def _began_at_zero(self) -> bool:
        return self._epochs is None or self._epochs[0] == 0.0

    def _images(self) -> int | None:
        """Return the number of images trained on in this attempt, as far as rank 0's events show."""
        if self._epochs is None or self._epochs[1] <= self._epochs[0]:
            return None
        schedule = self._trial.schedule
        steps = (self._epochs[1] - self._epochs[0]) * schedule.steps_per_epoch
        return round(steps) * self._trial.recipe.batch_size

    def _summary_of_sampler(self) -> SamplerSummary | None:
        summaries = [_unknown_device(name, reason) for name, reason in self._missing.items()]
        host, sampler = socket.gethostname(), self._sampler
        if sampler is None:
            return SamplerSummary(host=host, summaries=summaries) if summaries else None
        return SamplerSummary(
            host=host,
            summaries=[*(track.summary() for track in sampler.tracks), *summaries],
            windows=sampler.take(all_of_it=True),
            raw=None if sampler.raw.fault else str(self._raw),
            fault=sampler.fault or sampler.raw.fault,
        )

    def _send_results(self, samplers: Sequence[SamplerSummary], summaries: Sequence[Summary]) -> None:
        for each in samplers:
            self._send_series(each.host, each.windows, {})
        self._send_series("", {}, describe(summaries, [each.fault for each in samplers if each.fault]))
        self._write_summary(samplers)
        for path in (MONITOR_ARTIFACT, *(each.raw for each in samplers if each.raw)):
            self._plain.emit(ArtifactWritten(trial_id=self._trial.id, attempt=self._plain.attempt, path=path))

    def _send_series(self, host: str, windows: Mapping[str, Sequence[Window]], tags: Mapping[str, str]) -> None:
        points = [
            {"time_ms": window.time_ms, "step": window.step, "values": values}
            for source, some in windows.items()
            for window in some
            if (values := _series_values(self._shown, host, source, window.values))
        ]
        if points or tags:
            event = Monitored(
                trial_id=self._trial.id, attempt=self._plain.attempt, points=tuple(points), tags=dict(tags)
            )
            self._plain.emit(event)

    def _write_summary(self, samplers: Sequence[SamplerSummary]) -> None:
        record = [
            {"host": each.host, "fault": each.fault, "sources": [asdict(summary) for summary in each.summaries]}
            for each in samplers
        ]
        text = json.dumps({"energy": "GPUs alone", "nodes": record}, indent=1, sort_keys=True)
        write_atomic(self._plain.folder / MONITOR_ARTIFACT, text.encode())


def _location_of_this_rank(device: torch.device) -> RankLocation:
    return RankLocation(host=socket.gethostname(), device=cuda_uuid(device), pid=os.getpid())


def _device_of(location: RankLocation) -> tuple[str, str | None]:
    return location.host, location.device


def _first(locations: Sequence[RankLocation], wanted: Callable[[RankLocation], bool]) -> int:
    return next(rank for rank, location in enumerate(locations) if wanted(location))


def _devices_of(locations: Sequence[RankLocation], host: str) -> list[str]:
    """Return the GPUs of a host that this attempt uses, in the order of their first ranks."""
    return list(
        dict.fromkeys(
            location.device for location in locations if location.host == host and location.device is not None
        )
    )


def _sources_of(locations: Sequence[RankLocation]) -> dict[str, list[str]]:
    """Return host -> names of its sources."""
    return {
        host: [*(f"gpu_{index}" for index in range(len(_devices_of(locations, host)))), "host"]
        for host in dict.fromkeys(location.host for location in locations)
    }


def _series_values(shown: Shown, host: str, source: str, values: Mapping[str, float]) -> dict[str, float]:
    return {name: values[metric] for metric in values if (name := shown.get((host, source, metric))) is not None}


def _unknown_device(name: str, reason: str) -> Summary:
    """Return the summary of a device that NVML does not know."""
    empty: dict[str, float] = {}
    return Summary(
        source=name,
        device="",
        readings=0,
        means=empty,
        peaks=empty,
        lows=empty,
        energy_j=None,
        energy_from=None,
        energy_by_power_j=None,
        counter_resets=0,
        timed_power_w=None,
        slowdowns_pct=empty,
        other_processes=None,
        absent={"everything": reason},
        errors={},
        lost=None,
    )
