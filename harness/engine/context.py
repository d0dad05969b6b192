"""The context of a trial: everything that the engine gets from its launcher."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from harness.events import Event
from harness.trial import AttemptSettings

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """Settings for watching the devices of an attempt."""

    visible_devices: str | None
    """This process's CUDA_VISIBLE_DEVICES; None if it is not set."""


@dataclass(frozen=True)
class TrialContext:
    """One worker's place in one attempt at a trial. With several workers the process group is up already."""

    folder: Path
    """The trial's own folder, at the same path for every worker: checkpoints, `steps.csv`, `trace-1.txt`."""
    attempt: int
    rank: int
    world_size: int
    device: torch.device
    emit: Callable[[Event], None]
    """Function that takes each event, in order. Only rank 0 calls it, except for a trace: the first rank that fails
    sends it."""
    stop_requested: Callable[[], bool]
    """Function that tells whether to stop. A single worker calls it after every step, so it must read a flag, not send
    a message."""
    flush: Callable[[], None] = lambda: None
    """Function that returns when every event is durable. It is called before a checkpoint is written, since an attempt
    that resumes from the checkpoint sends none of these events again. It raises if the right to run this attempt is
    lost."""
    progressed: Callable[[], None] = lambda: None
    """Function that is called after every step and every evaluated batch, so that a hanging trial can be told from a
    slow one."""
    settings: AttemptSettings = field(default_factory=AttemptSettings)
    """Settings that every attempt of the sweep shares."""
    clock: Callable[[], float] = time.perf_counter
    """Function that returns seconds, for durations on the host."""
    timing: Callable[[bool], None] = lambda _running: None
    """Function that is called with True when the timed steps of a timing trial begin, and with False when they have
    ended."""
    monitoring: Monitoring | None = None
    """Settings of the monitor; None if nobody watches the devices."""

    def __post_init__(self) -> None:
        assert self.device.type != "cuda" or self.device.index is not None, "say which GPU: cuda:0"
        assert 0 <= self.rank < self.world_size, f"rank {self.rank} of {self.world_size}"
