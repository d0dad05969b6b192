"""A thread that reads devices at a steady pace, and its results: a file of all readings, means, peaks, joules."""

from __future__ import annotations

import csv
import gzip
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.measure import host, nvml
from harness.measure.coverage import Coverage, is_partial
from harness.measure.energy import EnergyMeter
from harness.measure.windows import Window, Windows

DEVICE_PERIOD_S = 0.1
HOST_PERIOD_S = 0.5
STOP_S = 20.0
"""Seconds that the last reading may take. After them the device's library is waited for no more."""

ENERGY = "energy"
"""Name of the energy among the metrics that have no result."""

COLUMNS = (*nvml.COLUMNS, *host.COLUMNS)
_NO_AVERAGE = {nvml.ENERGY, nvml.SLOWDOWN, nvml.OTHERS}


class Reader(Protocol):
    """Interface of `harness.measure.nvml.GpuReader` and `harness.measure.host.HostReader`."""

    absent: dict[str, str]
    errors: dict[str, str]
    lost: str | None

    def read(self) -> dict[str, float]:
        """Return all values that can be read now."""
        ...

    def close(self) -> None:
        """Free all resources."""
        ...


@dataclass(frozen=True, kw_only=True)
class Source:
    """A device or host to read."""

    name: str
    """Name among the sources of one sampler: `gpu_0`, `host`."""
    device: str
    """UUID and name of a GPU, or the host's name."""
    reader: Reader
    period_s: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Summary of all readings of one source, in a form that JSON can hold."""

    source: str
    device: str
    readings: int
    means: Mapping[str, float]
    peaks: Mapping[str, float]
    lows: Mapping[str, float]
    energy_j: float | None
    energy_from: str | None
    """`counter`: the device's own counter; `power`: power over time, if the counter is missing or was reset."""
    energy_by_power_j: float | None
    counter_resets: int
    timed_power_w: float | None
    """Mean power in watts, energy over time, while a timing trial timed its steps."""
    slowdowns_pct: Mapping[str, float]
    """Reason for a lower clock -> percent of the readings in which it held."""
    other_processes: int | None
    """Largest number of processes at once, not counting our own, that held memory of the device."""
    absent: Mapping[str, str]
    """Metric -> why it was never read."""
    errors: Mapping[str, str]
    """Metric -> the last error of a metric that was read at other times."""
    lost: str | None
    partial: Mapping[str, str] = field(default_factory=dict)
    """Metric -> why its readings, which cover only a part of the trial, are no result. It has no mean, peak or low."""


class Track:
    """The part of one source's readings that is kept in memory: a few numbers for each metric."""

    def __init__(self, source: Source, start_ms: int) -> None:
        self.source = source
        self.windows = Windows(start_ms)
        self._meter = EnergyMeter()
        self._readings = 0
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}
        self._peaks: dict[str, float] = {}
        self._lows: dict[str, float] = {}
        self._slow: dict[int, int] = dict.fromkeys(nvml.SLOWDOWNS, 0)
        self._others: float | None = None
        self.cut: str | None = None
        """Why reading ended before the trial; None if it did not."""
        self._coverage = Coverage()
        self._before_s: float | None = None
        self._first_s: float | None = None
        self._timed: EnergyMeter | None = None
        self._timed_s: tuple[float, float] | None = None

    def add(self, time_s: float, time_ms: int, values: Mapping[str, float], *, timed: bool = False) -> None:
        """Add one reading. Once steps are timed, means and the like cover those alone; energy covers everything."""
        self._readings += bool(values)
        passed_s = 0.0 if self._before_s is None else time_s - self._before_s
        self._first_s = time_s if self._first_s is None else self._first_s
        self._before_s = time_s
        self._meter.add(time_s, power_w=values.get(nvml.POWER), counter_j=values.get(nvml.ENERGY))
        self.windows.add(time_ms, values)
        if nvml.OTHERS in values:
            self._others = max(values[nvml.OTHERS], self._others or 0)
        if timed and self._timed is None:
            self._coverage.begin()
            passed_s = 0.0
        if timed:
            self._add_timed(time_s, values)
        if timed or self._timed is None:
            self._coverage.add(passed_s, time_ms, values)
            self._add_to_means(values)

    def _add_timed(self, time_s: float, values: Mapping[str, float]) -> None:
        if self._timed is None or self._timed_s is None:
            self._timed, self._timed_s = EnergyMeter(), (time_s, time_s)
            for so_far in (self._sums, self._counts, self._peaks, self._lows):
                so_far.clear()
            self._slow = dict.fromkeys(nvml.SLOWDOWNS, 0)
        self._timed.add(time_s, power_w=values.get(nvml.POWER), counter_j=values.get(nvml.ENERGY))
        self._timed_s = (self._timed_s[0], time_s)

    def _add_to_means(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1
            self._peaks[name] = max(value, self._peaks.get(name, value))
            self._lows[name] = min(value, self._lows.get(name, value))
        for bit in nvml.SLOWDOWNS:
            self._slow[bit] += bool(int(values.get(nvml.SLOWDOWN, 0)) & bit)

    def summary(self) -> Summary:
        """Return the summary so far."""
        reader, energy_j = self.source.reader, self._energy_j()
        partial = self._partial()
        whole = {name for name in self._averaged(self._sums) if name not in partial}
        return Summary(
            source=self.source.name,
            device=self.source.device,
            readings=self._readings,
            means={name: total / self._counts[name] for name, total in self._sums.items() if name in whole},
            peaks={name: value for name, value in self._peaks.items() if name in whole},
            lows={name: value for name, value in self._lows.items() if name in whole},
            energy_j=energy_j,
            energy_from=None if energy_j is None else self._meter.source,
            energy_by_power_j=None if nvml.POWER in partial else self._meter.integral_j,
            counter_resets=self._meter.resets,
            slowdowns_pct={} if nvml.SLOWDOWN in partial else self._slowdowns_pct(),
            timed_power_w=self._timed_power_w(),
            other_processes=None if self._others is None or nvml.OTHERS in partial else int(self._others),
            absent=dict(reader.absent),
            errors=dict(reader.errors),
            lost=reader.lost,
            partial=partial,
        )

    def _partial(self) -> dict[str, str]:
        """Return metric -> why its readings are no result of the whole."""
        reader = self.source.reader
        otherwise = self.cut or reader.lost or self._coverage.pause or "no value"
        found = self._coverage.partial(self.source.period_s, {**reader.errors, **reader.absent}, otherwise)
        early = f"no result, since reading ended early: {self.cut}"
        if self.cut is not None:
            found = dict.fromkeys(self._sums, early) | found
        if self._meter.energy_j is not None and self._energy_j() is None and not reader.lost:
            span_s = self._span_s()
            why = reader.errors.get(nvml.POWER) or reader.absent.get(nvml.POWER, otherwise)
            told = f"{span_s - self._meter.unread_s:,.0f} of {span_s:,.0f} s"
            found[ENERGY] = early if self.cut else f"no result, since it was read for {told}: {why}"
        return found

    def _energy_j(self) -> float | None:
        unknown = self.source.reader.lost or self.cut
        return None if unknown or self._lacks(self._meter, self._span_s()) else self._meter.energy_j

    def _span_s(self) -> float:
        return 0.0 if self._before_s is None or self._first_s is None else self._before_s - self._first_s

    def _lacks(self, meter: EnergyMeter, span_s: float) -> bool:
        return is_partial(meter.unread_s, span_s, self.source.period_s)

    def _timed_power_w(self) -> float | None:
        if self._timed is None or self._timed_s is None or self._timed.energy_j is None:
            return None
        seconds = self._timed_s[1] - self._timed_s[0]
        if self.source.reader.lost or self.cut or self._lacks(self._timed, seconds):
            return None
        return self._timed.energy_j / seconds if seconds > 0 else None

    def _averaged(self, values: Mapping[str, float]) -> dict[str, float]:
        return {name: value for name, value in values.items() if name not in _NO_AVERAGE}

    def _slowdowns_pct(self) -> dict[str, float]:
        readings = self._counts.get(nvml.SLOWDOWN, 0)
        return {name: 100 * self._slow[bit] / readings for bit, name in nvml.SLOWDOWNS.items() if self._slow[bit]}


class RawFile:
    """All readings as lines of a compressed table. A full disk ends the table and nothing else."""

    def __init__(self, path: Path) -> None:
        self.fault: str | None = None
        """Why the table ended early; None if it did not."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = gzip.open(path, "wt", compresslevel=1, newline="", encoding="utf-8")  # noqa: SIM115
            self._lines = csv.writer(self._file, lineterminator="\n")
            self._lines.writerow(("time_ms", "source", *COLUMNS))
        except OSError as error:
            self.fault = str(error)

    def write(self, time_ms: int, source: str, values: Mapping[str, float]) -> None:
        """Write one line; values that were not read are empty."""
        self._guarded(lambda: self._lines.writerow((time_ms, source, *(_short(values.get(name)) for name in COLUMNS))))

    def close(self) -> None:
        """Complete the table."""
        if self.fault is None:
            self._guarded(self._file.close)

    def _guarded(self, action: Callable[[], object]) -> None:
        if self.fault is None:
            try:
                action()
            except OSError as error:
                self.fault = str(error)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


@dataclass
class Sampler:
    """Reads its sources in a thread of its own between `start` and `stop`. The thread never raises."""

    sources: Sequence[Source]
    raw: RawFile
    clock: Callable[[], float] = time.perf_counter
    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    tracks: list[Track] = field(init=False, default_factory=list)
    timing: bool = field(init=False, default=False)
    """Whether steps are being timed now."""
    fault: str | None = field(init=False, default=None)
    """Why the thread ended early; None if it did not."""
    _stop: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread | None = field(init=False, default=None)

    def start(self) -> None:
        """Start reading."""
        now_ms = self.wall_ms()
        self.tracks = [Track(source, now_ms) for source in self.sources]
        self._thread = threading.Thread(target=self._run, name="monitor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read once more, so that the last moments count, and end. A second call changes nothing."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join(STOP_S)
        stuck = self._thread.is_alive()
        self._thread = None
        if stuck:
            self.fault = f"a reading has not ended {STOP_S:g} s after the trial"
        for track in self.tracks if self.fault else ():
            track.cut = self.fault
        self.raw.close()
        for source in () if stuck else self.sources:
            source.reader.close()

    def take(self, *, all_of_it: bool = False) -> dict[str, list[Window]]:
        """Return source -> the windows that are complete and were not taken before."""
        return {track.source.name: track.windows.take(all_of_it=all_of_it) for track in self.tracks}

    def read(self, track: Track) -> None:
        """Read one source now."""
        values = track.source.reader.read()
        time_ms = self.wall_ms()
        track.add(self.clock(), time_ms, values, timed=self.timing)
        if values:
            self.raw.write(time_ms, track.source.name, values)

    def _run(self) -> None:
        try:
            self._read_until_stopped()
        except Exception as error:  # noqa: BLE001  training goes on after any error of the monitor
            self.fault = f"{type(error).__name__}: {error}"

    def _read_until_stopped(self) -> None:
        due = [self.clock()] * len(self.tracks)
        while not self._stop.is_set():
            now = self.clock()
            for place, track in enumerate(self.tracks):
                if due[place] <= now:
                    self.read(track)
                    # The pace is steady if possible. After a long pause, missed readings are not made up for.
                    due[place] = max(due[place] + track.source.period_s, now)
            self._stop.wait(max(0.0, min(due, default=now + HOST_PERIOD_S) - self.clock()))
        for track in self.tracks:
            self.read(track)
