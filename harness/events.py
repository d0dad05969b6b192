"""What happens in a sweep, as frozen values: the engine makes them, the outbox keeps them, the recorder forwards them.

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
    """Milliseconds since the epoch, MLflow's clock."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, kw_only=True)
class SweepStarted:
    """First line of every outbox: all that a parent run needs, so that an outbox can be sent from anywhere."""

    sweep_id: str
    name: str
    """Unique, readable: names the storage folder and the parent run."""
    experiment: str
    description: str
    workload_text: str
    trials: tuple[Mapping[str, Any], ...]
    """One `Trial.record()` each: id, cell_id, label, seed, settings, dataset."""
    reused: Mapping[str, str]
    """Trial id -> MLflow run id, for trials whose result an earlier sweep already holds."""
    plan: Mapping[str, Any]
    environment: Mapping[str, Any]
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class TrialStarted:
    """An attempt began on a worker group."""

    trial_id: str
    attempt: int
    tags: Mapping[str, str]
    """Device name and count, versions, host names: what only the workers know."""
    resumed_epoch: float | None = None
    """Epochs already done by an earlier attempt, None for a fresh start."""
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class EpochEnded:
    """One point of every series."""

    trial_id: str
    attempt: int
    epoch: int
    """Epochs done, 1 after the first."""
    values: Mapping[str, float]
    """Series of `harness.schema.METRICS`."""
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
    """What was seen of the attempt's devices since the last such event."""

    trial_id: str
    attempt: int
    points: tuple[Mapping[str, Any], ...] = ()
    """Of MLflow's own `system/...` series, each with its own `time_ms`, `step` and `values`."""
    tags: Mapping[str, str] = field(default_factory=dict)
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class TrialEnded:
    """An attempt ended. `final` tells whether the trial did too, or will be tried again."""

    trial_id: str
    attempt: int
    outcome: Outcome
    final: bool = True
    reason: str = ""
    """One line: the cause, for every outcome but `finished`."""
    results: Mapping[str, float] = field(default_factory=dict)
    """Single values of `harness.schema.METRICS`."""
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class SweepEnded:
    """The sweep has nothing left to do, or was stopped."""

    status: str
    """`finished`, `failed`, or `stopped`."""
    time_ms: int = field(default_factory=now_ms)


Event = SweepStarted | TrialStarted | EpochEnded | ArtifactWritten | Monitored | TrialEnded | SweepEnded

KINDS: dict[str, type[Event]] = {
    kind.__name__: kind
    for kind in (SweepStarted, TrialStarted, EpochEnded, ArtifactWritten, Monitored, TrialEnded, SweepEnded)
}


def encode(event: Event) -> str:
    """One line of JSON, without the line's end. NaN and infinity are kept, as Python's json writes them."""
    return json.dumps({"event": type(event).__name__, **asdict(event)}, sort_keys=True)


def decode(line: str) -> Event:
    """The event in a line. Lone surrogates, as in a file name that is no text, become `?`: no store takes them.

    Raises:
        ValueError: the line is not one that `encode` wrote.
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
