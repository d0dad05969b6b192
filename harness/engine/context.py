"""Where a trial runs: all that the engine is told by whoever launches it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from harness.events import Event

VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True, kw_only=True)
class Monitoring:
    """How the devices of an attempt are watched."""

    visible_devices: str | None
    """This process's CUDA_VISIBLE_DEVICES, None where it is not set."""


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
    """Takes each event, in order. Called on rank 0 alone, but for a trace: the first rank that fails sends it."""
    stop_requested: Callable[[], bool]
    """Called after every step where there is one worker, so it must answer at once: a flag, not a message."""
    flush: Callable[[], None] = lambda: None
    """Returns when every event is durable. Called before a checkpoint is written, since whoever goes on from it sends
    none of them again. Raises where the right to run this attempt is lost."""
    progressed: Callable[[], None] = lambda: None
    """Told of every step and every batch evaluated, so that a trial that hangs can be told from a slow one."""
    checkpoint_every_s: float | None = None
    """Longest time without a checkpoint, in the middle of an epoch too."""
    checkpoint_every_steps: int | None = None
    """Checkpoints in the middle of an epoch too, after this many of its steps."""
    timeout_s: float | None = None
    """Seconds the attempt may take. The next one, from its checkpoint, has as many again, so each gets further."""
    checkpoint_interval_s: float = 5.0
    """An epoch's end within this many seconds of the last checkpoint writes none, so that short trials pay nothing."""
    timing: Callable[[bool], None] = lambda _running: None
    """Told when the steps that a timing trial times begin and when they have ended."""
    monitoring: Monitoring | None = None
    """None: nobody watches the devices."""

    def __post_init__(self) -> None:
        assert self.device.type != "cuda" or self.device.index is not None, "say which GPU: cuda:0"
        assert 0 <= self.rank < self.world_size, f"rank {self.rank} of {self.world_size}"
