"""The queue as an actor. It has a module of its own, so that its process need not import torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.scheduling.queue import TrialQueue
from harness.scheduling.types import Job, Limits
from harness.tracking.outbox import Outbox


class OutboxQueue(TrialQueue):
    """A queue that writes every accepted event to the sweep's outbox first."""

    def __init__(self, jobs: Sequence[Job], outbox: Path, limits: Limits) -> None:
        kept = Outbox(outbox)
        super().__init__(jobs, kept.append, limits, sync=kept.sync)
