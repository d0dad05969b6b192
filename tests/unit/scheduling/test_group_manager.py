"""Worker groups that the driver starts, reaps and gives up, with a real queue, on hosts that only record calls."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import pytest

from harness.events import Event, TrialEnded
from harness.scheduling.feasibility import ClusterUse, NodeResources
from harness.scheduling.group_manager import FAILURES_IN_A_ROW, ROOM_COMES_BACK_S, Groups
from harness.scheduling.queue import TrialQueue
from harness.scheduling.types import GroupEnd, Job, Limits, Shape
from harness.schema import Outcome
from tests.support.trials import ONE, TWO, Clock, a_trial, jobs

NO_ROOM = "the worker group did not start in time"


@dataclass
class Notes:
    """Controller hosts that run nothing and record their calls."""

    started: list[tuple[str, Shape, str]] = field(default_factory=list)
    avoided: dict[str, frozenset[str]] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)
    ends: dict[str, str | None] = field(default_factory=dict)

    def start(self, group: str, shape: Shape, node: str, avoid: Collection[str]) -> None:
        self.started.append((group, shape, node))
        self.avoided[group] = frozenset(avoid)

    def ended(self) -> dict[str, GroupEnd]:
        ends, self.ends = self.ends, {}
        return {group: GroupEnd(reason=reason, no_room=reason == NO_ROOM) for group, reason in ends.items()}

    def kill(self, group: str) -> None:
        self.killed.append(group)


@dataclass
class Bench:
    """Worker groups, their queue, and the clock of both."""

    queued: list[Job]
    clock: Clock = field(default_factory=Clock)
    notes: Notes = field(default_factory=Notes)
    record: list[Event] = field(default_factory=list)
    stall_timeout_s: float | None = 60.0

    def __post_init__(self) -> None:
        limits = Limits(stall_timeout_s=self.stall_timeout_s)
        self.queue = TrialQueue(self.queued, self.record.append, limits, self.clock)
        self.groups = Groups(self.queue, self.queue.groups, self.notes, self.clock)

    def finish(self, group: str, shape: Shape = ONE, outcome: Outcome = Outcome.FINISHED) -> None:
        lease = self.queue.lease(group, shape)
        assert lease is not None
        ended = TrialEnded(trial_id=lease.trial.id, attempt=lease.attempt, outcome=outcome, reason="as told")
        self.queue.end(group, ended)

    def lose(self, group: str, node: str, nodes: Sequence[NodeResources], trials: int = 1) -> None:
        """Let a group on a node fail this many trials and then be lost."""
        self.queue.groups.register_worker(group, 0, object(), node)
        for _ in range(trials):
            self.finish(group, outcome=Outcome.FAILED)
        self.notes.ends = {group: "a CUDA error"}
        self.groups.reconcile(nodes)


def node(name: str, cpus: float) -> NodeResources:
    return NodeResources(cpus=cpus, gpus=0, name=name)


def seeds(count: int, shape: Shape = ONE) -> list[Job]:
    return jobs(*(a_trial(seed=seed) for seed in range(count)), shape=shape)


def test_as_many_groups_start_as_have_work_and_no_more_than_fit() -> None:
    few, many = Bench(seeds(2)), Bench(seeds(9))
    for bench in (few, many):
        bench.groups.reconcile([node("a", 2), node("b", 1)])
        bench.groups.reconcile([node("a", 2), node("b", 1)])
    assert [name for name, _, _ in few.notes.started] == ["group-1", "group-2"]
    assert [host for _, _, host in many.notes.started] == ["a", "a", "b"]


def test_a_controller_lives_on_the_node_that_has_most_of_its_workers() -> None:
    bench = Bench(seeds(1, shape=replace(ONE, workers=5)))
    bench.groups.reconcile([node("small", 2), node("large", 3)])
    assert [host for _, _, host in bench.notes.started] == ["large"]


def test_a_group_that_has_yet_to_lease_is_not_started_again_and_one_that_is_busy_takes_no_more() -> None:
    bench = Bench(seeds(3))
    bench.groups.reconcile([node("a", 1)])
    bench.queue.lease("group-1", ONE)
    bench.groups.reconcile([node("a", 2)])
    bench.groups.reconcile([node("a", 2)])
    assert len(bench.notes.started) == 2


def test_the_place_of_a_group_that_ended_is_free_again() -> None:
    bench = Bench([*seeds(1), *jobs(a_trial(14), shape=TWO)])
    bench.groups.reconcile([node("a", 2)])
    bench.finish("group-1")
    bench.notes.ends = {"group-1": None}
    bench.groups.reconcile([node("a", 2)])
    assert [(name, shape) for name, shape, _ in bench.notes.started] == [("group-1", ONE), ("group-2", TWO)]


def test_a_shape_whose_groups_are_lost_again_and_again_is_given_up_with_the_last_reason() -> None:
    bench = Bench(seeds(2))
    for loss in range(1, FAILURES_IN_A_ROW + 1):
        bench.groups.reconcile([node("a", 1)])
        bench.notes.ends = {f"group-{loss}": f"no room, try {loss}"}
    bench.groups.reconcile([node("a", 1)])
    ends = [event for event in bench.record if isinstance(event, TrialEnded)]
    assert [(end.outcome, end.reason) for end in ends] == [(Outcome.FAILED, "no room, try 3")] * 2
    assert bench.queue.snapshot().done


def test_a_group_that_finds_no_room_is_no_failure_however_often() -> None:
    bench = Bench(seeds(2))
    for loss in range(1, 20):
        bench.groups.reconcile([node("a", 1)])
        bench.notes.ends = {f"group-{loss}": NO_ROOM}
    bench.groups.reconcile([node("a", 1)])
    assert bench.record == []
    assert len(bench.notes.started) == 20


def test_no_group_starts_where_other_work_uses_the_room_and_that_is_known() -> None:
    bench, nodes = Bench(seeds(3)), [node("a", 2), node("b", 2)]
    busy = ClusterUse(free=[node("a", 0), node("b", 0)], placed=frozenset())
    bench.groups.reconcile(nodes, busy)
    bench.clock.now_s += 3600
    bench.groups.reconcile(nodes, busy)
    assert (bench.notes.started, bench.record) == ([], [])
    assert bench.groups.crowded_out == {ONE: 3600.0}
    bench.groups.reconcile(nodes, ClusterUse(free=[node("a", 0), node("b", 1)], placed=frozenset()))
    assert [host for _, _, host in bench.notes.started] == ["b"]
    assert bench.groups.crowded_out == {}


def test_a_group_that_waits_for_its_place_keeps_it_from_the_next_one_and_one_that_has_it_does_not() -> None:
    bench, nodes = Bench(seeds(3)), [node("a", 3)]
    bench.groups.reconcile(nodes, ClusterUse(free=[node("a", 1)], placed=frozenset()))
    bench.groups.reconcile(nodes, ClusterUse(free=[node("a", 1)], placed=frozenset()))
    assert len(bench.notes.started) == 1
    bench.groups.reconcile(nodes, ClusterUse(free=[node("a", 1)], placed=frozenset({"group-1"})))
    assert len(bench.notes.started) == 2


def test_a_group_starts_where_room_is_free_also_if_another_was_foreseen_there_and_lies_elsewhere() -> None:
    bench, nodes = Bench(seeds(9)), [node("a", 1), node("b", 1)]
    bench.groups.reconcile(nodes, ClusterUse(free=nodes, placed=frozenset()))
    assert [host for _, _, host in bench.notes.started] == ["a", "b"]
    bench.notes.ends = {"group-1": "lost, and it was on b"}
    bench.groups.reconcile(nodes, ClusterUse(free=[node("a", 0), node("b", 1)], placed=frozenset({"group-2"})))
    assert [host for _, _, host in bench.notes.started] == ["a", "b", "b"]


def test_a_sweep_that_fills_the_cluster_itself_is_not_crowded_out() -> None:
    bench, nodes = Bench([*seeds(1), *jobs(a_trial(14), shape=TWO)]), [node("a", 2)]
    bench.groups.reconcile(nodes, ClusterUse(free=nodes, placed=frozenset()))
    bench.groups.reconcile(nodes, ClusterUse(free=[node("a", 1)], placed=frozenset({"group-1"})))
    assert bench.groups.crowded_out == {}


def test_a_group_that_ended_a_trial_before_it_was_lost_is_no_failure() -> None:
    bench = Bench(seeds(9))
    for loss in range(1, 6):
        bench.groups.reconcile([node("a", 1)])
        bench.finish(f"group-{loss}")
        bench.notes.ends = {f"group-{loss}": "a node died"}
    bench.groups.reconcile([node("a", 1)])
    assert len(bench.notes.started) == 6
    assert bench.queue.snapshot().waiting == 4


def test_groups_that_are_lost_together_are_lost_once() -> None:
    """This happens when another sweep fills the cluster: eight groups stop waiting for a place at the same moment."""
    bench, nodes = Bench(seeds(100)), [node("a", 8)]
    for rounds in range(FAILURES_IN_A_ROW):
        bench.groups.reconcile(nodes)
        assert bench.queue.snapshot().waiting == 100
        bench.clock.now_s += 1200
        bench.notes.ends = {f"group-{8 * rounds + number}": "no room" for number in range(1, 9)}
    bench.groups.reconcile(nodes)
    assert bench.queue.snapshot().done


def test_no_trial_is_given_up_while_a_group_of_its_shape_works() -> None:
    bench, nodes = Bench(seeds(100), stall_timeout_s=None), [node("a", 1), node("bad", 1)]
    bench.groups.reconcile(nodes)
    assert bench.queue.lease("group-1", ONE)
    for lost in range(2, 12):
        bench.clock.now_s += 15
        bench.notes.ends = {f"group-{lost}": "no process group"}
        bench.groups.reconcile(nodes)
    assert bench.queue.snapshot().waiting == 99


def test_a_node_with_a_broken_gpu_does_not_eat_the_queue() -> None:
    """On seven of eight nodes a trial takes an hour; on the eighth every trial fails and its group is lost."""
    nodes = [node(f"node-{number}", 1) for number in range(8)]
    bench = Bench(seeds(100), stall_timeout_s=None)
    bench.groups.reconcile(nodes)
    *healthy, (bad_group, _, bad) = bench.notes.started
    for name, _, _ in healthy:
        bench.queue.lease(name, ONE)
    hour_s = bench.clock.now_s + 3600
    while bench.clock.now_s < hour_s:
        last, _, _ = bench.notes.started[-1]
        if last in bench.groups.running and last not in bench.queue.busy():
            bench.lose(last, bad, nodes)
        bench.clock.now_s += 20
        bench.groups.reconcile(nodes)
    ends = [event for event in bench.record if isinstance(event, TrialEnded)]
    assert bad_group == "group-8"
    assert len(ends) <= 4
    assert not any(end.final for end in ends)


def test_a_resting_node_is_avoided_while_there_are_others_and_used_where_there_are_none() -> None:
    bench, nodes = Bench(seeds(9)), [node("good", 1), node("bad", 1)]
    for lost in ("group-1", "group-3"):
        bench.groups.reconcile(nodes)
        bench.lose(lost, "bad", nodes)
    bench.notes.ends = {"group-2": None}
    bench.groups.reconcile(nodes)
    name, _, place = bench.notes.started[-1]
    assert (place, bench.notes.avoided[name]) == ("good", {"bad"})
    bench.notes.ends = {name: None}
    bench.groups.reconcile([node("bad", 1)])
    name, _, place = bench.notes.started[-1]
    assert (place, bench.notes.avoided[name]) == ("bad", set())


def test_a_result_makes_a_node_good_again() -> None:
    bench, nodes = Bench(seeds(9)), [node("a", 1), node("b", 1)]
    bench.groups.reconcile(nodes)
    bench.queue.lease("group-2", ONE)
    for lost in ("group-1", "group-3", "group-4"):
        bench.queue.groups.register_worker(lost, 0, object(), "a")
        bench.finish(lost, outcome=Outcome.FINISHED if lost == "group-3" else Outcome.FAILED)
        bench.notes.ends = {lost: "lost"}
        bench.groups.reconcile(nodes)
    assert set(bench.notes.avoided.values()) == {frozenset()}


def test_a_group_that_hangs_is_killed_and_its_trial_waits_again() -> None:
    bench = Bench(seeds(1))
    bench.groups.reconcile([node("a", 1)])
    bench.queue.lease("group-1", ONE)
    bench.clock.now_s += 61
    bench.groups.reconcile([node("a", 1)])
    assert bench.notes.killed == ["group-1"]
    assert bench.queue.snapshot().waiting == 1


def test_what_a_lost_node_alone_could_hold_waits_ten_minutes_for_it_and_is_then_infeasible() -> None:
    bench = Bench(seeds(1, shape=TWO))
    small = [node("a", 1)]
    bench.groups.reconcile(small)
    bench.clock.now_s += ROOM_COMES_BACK_S
    bench.groups.reconcile(small)
    assert not bench.queue.snapshot().done
    bench.clock.now_s += 1
    bench.groups.reconcile(small)
    (ended,) = bench.queue.snapshot().ended
    assert ended.outcome is Outcome.INFEASIBLE


def test_a_node_that_comes_back_in_time_is_used() -> None:
    bench = Bench(seeds(1, shape=TWO))
    for cpus in (1, 1, 2):
        bench.clock.now_s += ROOM_COMES_BACK_S - 1
        bench.groups.reconcile([node("a", cpus)])
    assert len(bench.notes.started) == 1


class Counted(NodeResources):
    """A node that counts how often it is looked at."""

    looks = 0

    def holds(self, shape: Shape) -> int:
        Counted.looks += 1
        return super().holds(shape)


@pytest.mark.parametrize("trials", [250, 1000])
def test_filling_a_cluster_looks_at_each_node_a_few_times_for_each_start_and_shape(trials: int) -> None:
    """10 nodes of 32 cores, 100 shapes: at most two looks at a node for each group that starts and each that waits."""
    shapes = [replace(ONE, cpus_per_worker=1 + number) for number in range(100)]
    queued = [job for index, shape in enumerate(shapes) for job in seeds_of(index, trials // 100, shape)]
    bench = Bench(queued)
    nodes = [Counted(cpus=32, gpus=0, name=f"node-{number}") for number in range(10)]
    Counted.looks = 0
    bench.groups.reconcile(nodes)
    first = Counted.looks
    assert first <= 10 * (len(bench.notes.started) + 3 * 100)
    bench.groups.reconcile(nodes)
    assert Counted.looks - first <= 10 * 3 * 100


def seeds_of(index: int, count: int, shape: Shape) -> list[Job]:
    return jobs(*(a_trial(seed=1000 * index + seed) for seed in range(count)), shape=shape)
