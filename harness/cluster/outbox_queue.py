"""The queue and the registry of groups as one actor. Its process need not import torch, nor Ray Train."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.scheduling.queue import TrialQueue
from harness.scheduling.types import GroupStats, Job, Limits
from harness.tracking.outbox import Outbox


class OutboxQueue(TrialQueue):
    """A queue that writes every accepted event to the sweep's outbox first. `QueueClient` calls it.

    Ray calls an actor's own methods only, so those of the registry are repeated here.
    """

    def __init__(self, jobs: Sequence[Job], outbox: Path, limits: Limits) -> None:
        kept = Outbox(outbox)
        super().__init__(jobs, kept.append, limits, sync=kept.sync)

    def register_worker(self, group: str, rank: int, handle: bytes, node: str) -> None:
        """Register a worker's pickled handle and its node."""
        self.groups.register_worker(group, rank, handle, node)

    def worker_handles(self, group: str) -> tuple[bytes, ...]:
        """Return the pickled handles of a group's workers."""
        return self.groups.worker_handles(group)

    def group_stats(self, group: str) -> GroupStats:
        """Return the leases, results and nodes of a group so far."""
        return self.groups.group_stats(group)

    def note_loss_reason(self, group: str, reason: str, out_of_memory: bool) -> None:
        """Note why a group is about to end."""
        self.groups.note_loss_reason(group, reason, out_of_memory)
