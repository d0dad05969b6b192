"""Events of a sweep, as frozen values: the engine makes them, the outbox keeps them, the recorder forwards them.

An event's `time_ms` is the moment it happened and becomes MLflow's timestamp, so that sending it twice changes nothing.
One event is one line of JSON: `encode` and `decode` are each other's inverse.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.schema import Outcome


def now_ms() -> int:
    """Return the milliseconds since the epoch, as MLflow's clock does."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, kw_only=True)
class SweepStarted:
    """First line of every outbox: everything that a parent run needs, so that an outbox can be sent from anywhere."""

    sweep_id: str
    name: str
    """Unique, readable name of the storage folder and of the parent run."""
    experiment: str
    description: str
    workload_text: str
    trials: tuple[Mapping[str, Any], ...]
    """Record of each trial (`Trial.record()`): id, cell_id, label, seed, settings, dataset."""
    reused: Mapping[str, str]
    """Trial id -> MLflow run id, for trials whose result an earlier sweep already holds."""
    plan: Mapping[str, Any]
    environment: Mapping[str, Any]
    time_ms: int = field(default_factory=now_ms)

    @property
    def storage(self) -> str | None:
        """Place of the sweep's files on its driver, `host:folder`; None if the driver did not report it."""
        host, folder = (self.environment.get(name) for name in ("host", "storage"))
        return f"{host}:{folder}" if host and folder else None


@dataclass(frozen=True, kw_only=True)
class TrialStarted:
    """An attempt began on a worker group."""

    trial_id: str
    attempt: int
    tags: Mapping[str, str]
    """Device name and count, versions and host names, which only the workers know."""
    resumed_epoch: float | None = None
    """Epochs already done by an earlier attempt; None for a fresh start."""
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class EpochEnded:
    """An epoch ended: one point of every series."""

    trial_id: str
    attempt: int
    epoch: int
    """Number of epochs done, 1 after the first."""
    values: Mapping[str, float]
    """Values of series of `harness.schema.METRICS`, by key."""
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class ArtifactWritten:
    """A file below the trial's folder is complete. `path` is relative to that folder."""

    trial_id: str
    attempt: int
    path: str
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class Monitored:
    """Measurements of the attempt's devices since the last such event."""

    trial_id: str
    attempt: int
    points: tuple[Mapping[str, Any], ...] = ()
    """Points of MLflow's own `system/...` series, each with its own `time_ms`, `step` and `values`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class TrialEnded:
    """An attempt ended. `final` tells whether the trial ended too or will be tried again."""

    trial_id: str
    attempt: int
    outcome: Outcome
    final: bool = True
    reason: str = ""
    """Cause in one line, for every outcome but `finished`."""
    results: Mapping[str, float] = field(default_factory=dict)
    """Single values of `harness.schema.METRICS`, by key."""
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class SweepEnded:
    """The sweep has nothing left to do, or was stopped."""

    status: str
    """Status of the sweep: `finished`, `failed`, or `stopped`."""
    time_ms: int = field(default_factory=now_ms)


Event = SweepStarted | TrialStarted | EpochEnded | ArtifactWritten | Monitored | TrialEnded | SweepEnded

KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (SweepStarted, TrialStarted, EpochEnded, ArtifactWritten, Monitored, TrialEnded, SweepEnded)
}


def encode(event: Event) -> str:
    """Return the event as one line of JSON without line end. NaN and infinity are kept as Python's json writes them."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}, sort_keys=True)


def decode(line: str) -> Event:
    """Return the event in a line. Lone surrogates, as in undecodable file names, become `?`: no store accepts them.

    Raises:
        ValueError: `encode` did not write the line.
    """
    fields = json.loads(line)
    if "\\ud" in line:
        fields = json.loads(json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace"))
    kind = KINDS.get(fields.pop("event", None))
    if kind is None:
        raise ValueError(f"not an event: {line[:80]!r}")
    if "outcome" in fields:
        fields["outcome"] = Outcome(fields["outcome"])
    for name in {"trials", "points"} & fields.keys():
        fields[name] = tuple(fields[name])
    return kind(**fields)
