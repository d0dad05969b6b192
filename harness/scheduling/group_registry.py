"""The registry of worker groups: their workers, their leases and results, and why one is about to end."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from harness.scheduling.types import GroupStats
from harness.schema import Outcome

UNKNOWN_LOSS = (Outcome.FAILED, "a worker of its group died")
"""Outcome and reason of a trial whose group was lost without a reported reason."""


@dataclass
class _Entry:
    """The record of one group."""

    workers: dict[int, tuple[Any, str]] = field(default_factory=dict)
    """Rank -> the worker's handle and its node."""
    leases: int = 0
    results: int = 0
    loss: tuple[Outcome, str] | None = None


class GroupRegistry:
    """The worker groups of a sweep, by name. A group is entered at its first call.

    Every call may come twice (see `harness.scheduling.queue`). The queue itself counts leases and results.
    """

    def __init__(self) -> None:
        self._entries: defaultdict[str, _Entry] = defaultdict(_Entry)

    def register_worker(self, group: str, rank: int, handle: Any, node: str = "") -> None:
        """Register a worker's handle, with which it can be killed, and its node. A worker with the same rank goes."""
        self._entries[group].workers[rank] = handle, node

    def worker_handles(self, group: str) -> tuple[Any, ...]:
        """Return the handles of a group's workers, with which they can be killed."""
        return tuple(handle for handle, _ in self._entries[group].workers.values())

    def group_stats(self, group: str) -> GroupStats:
        """Return the leases, results and nodes of a group so far."""
        entry = self._entries[group]
        nodes = frozenset(node for _, node in entry.workers.values() if node)
        return GroupStats(leases=entry.leases, results=entry.results, nodes=nodes)

    def count_lease(self, group: str) -> None:
        """Count a trial that the group leased."""
        self._entries[group].leases += 1

    def count_result(self, group: str) -> None:
        """Count a trial that the group brought to a result."""
        self._entries[group].results += 1

    def note_loss_reason(self, group: str, reason: str, out_of_memory: bool = False) -> None:
        """Note why a group is about to end. Its trial gets this reason when the group has ended."""
        self._entries[group].loss = (Outcome.OUT_OF_MEMORY if out_of_memory else Outcome.FAILED), reason

    def take_loss_reason(self, group: str) -> tuple[Outcome, str]:
        """Return the outcome and reason of the trial that a lost group held, and forget them."""
        entry = self._entries[group]
        loss, entry.loss = entry.loss, None
        return loss or UNKNOWN_LOSS
