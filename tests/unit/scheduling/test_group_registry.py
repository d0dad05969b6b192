"""The registry of worker groups: handles, counts and reasons of a loss."""

from __future__ import annotations

from harness.scheduling.group_registry import GroupRegistry
from harness.scheduling.types import GroupStats
from harness.schema import Outcome


def test_the_workers_of_a_group_can_be_killed_by_their_handles_and_the_newest_of_a_rank_counts() -> None:
    groups = GroupRegistry()
    for rank, handle in ((0, "a"), (1, "b"), (0, "c")):
        groups.register_worker("g", rank, handle)
    assert groups.worker_handles("g") == ("c", "b")
    assert groups.worker_handles("another") == ()


def test_leases_results_and_nodes_are_counted_for_each_group_apart() -> None:
    groups = GroupRegistry()
    groups.register_worker("g", 0, object(), "alpha")
    groups.register_worker("g", 1, object(), "beta")
    groups.count_lease("g")
    groups.count_lease("g")
    groups.count_result("g")
    assert groups.group_stats("g") == GroupStats(leases=2, results=1, nodes=frozenset({"alpha", "beta"}))
    assert groups.group_stats("another") == GroupStats(leases=0, results=0, nodes=frozenset())


def test_a_reason_of_a_loss_counts_once() -> None:
    groups = GroupRegistry()
    groups.note_loss_reason("g", "beta ran out of memory", True)
    assert groups.take_loss_reason("g") == (Outcome.OUT_OF_MEMORY, "beta ran out of memory")
    assert groups.take_loss_reason("g") == (Outcome.FAILED, "a worker of its group died")
