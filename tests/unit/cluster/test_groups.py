"""Which worker groups the driver starts, buries and gives up; with a real queue, on hosts that only take notes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from harness.cluster.groups import FAILURES_IN_A_ROW, ROOM_COMES_BACK_S, Groups
from harness.cluster.preflight import NodeRoom
from harness.cluster.queue import Job, Limits, Shape, TrialQueue
from harness.events import Event, TrialEnded
from harness.schema import Outcome
from tests.unit.cluster.trials import ONE, TWO, Clock, a_trial, jobs


@dataclass
class Notes:
    """Hosts on which nothing runs."""

    started: list[tuple[str, Shape, str]] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    ends: dict[str, str | None] = field(default_factory=dict)

    def start(self, group: str, shape: Shape, node: str) -> None:
        self.started.append((group, shape, node))

    def ended(self) -> dict[str, str | None]:
        ends, self.ends = self.ends, {}
        return ends

    def kill(self, group: str) -> None:
        self.killed.append(group)


@dataclass
class Bench:
    """Groups, their queue, and the clock of both."""

    queued: list[Job]
    clock: Clock = field(default_factory=Clock)
    notes: Notes = field(default_factory=Notes)
    record: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = Limits(stall_timeout_s=60.0)
        self.queue = TrialQueue(self.queued, self.record.append, limits, self.clock)
        self.groups = Groups(self.queue, self.notes, self.clock)

    def finish(self, group: str, shape: Shape = ONE) -> None:
        lease = self.queue.lease(group, shape)
        assert lease is not None
        self.queue.end(group, TrialEnded(trial_id=lease.trial.id, attempt=lease.attempt, outcome=Outcome.FINISHED))


def node(name: str, cpus: float) -> NodeRoom:
    return NodeRoom(cpus=cpus, gpus=0, name=name)


def seeds(count: int, shape: Shape = ONE) -> list[Job]:
    return jobs(*(a_trial(seed=seed) for seed in range(count)), shape=shape)


def test_as_many_groups_start_as_have_work_and_no_more_than_fit() -> None:
    few, many = Bench(seeds(2)), Bench(seeds(9))
    for bench in (few, many):
        bench.groups.fill([node("a", 2), node("b", 1)])
        bench.groups.fill([node("a", 2), node("b", 1)])
    assert [name for name, _, _ in few.notes.started] == ["group-1", "group-2"]
    assert [host for _, _, host in many.notes.started] == ["a", "a", "b"]


def test_a_controller_lives_on_the_node_that_has_most_of_its_workers() -> None:
    bench = Bench(seeds(1, shape=replace(ONE, workers=5)))
    bench.groups.fill([node("small", 2), node("large", 3)])
    assert [host for _, _, host in bench.notes.started] == ["large"]


def test_a_group_that_has_yet_to_lease_is_not_started_again_and_one_that_is_busy_takes_no_more() -> None:
    bench = Bench(seeds(3))
    bench.groups.fill([node("a", 1)])
    bench.queue.lease("group-1", ONE)
    bench.groups.fill([node("a", 2)])
    bench.groups.fill([node("a", 2)])
    assert len(bench.notes.started) == 2


def test_the_place_of_a_group_that_ended_is_free_again() -> None:
    bench = Bench([*seeds(1), *jobs(a_trial(14), shape=TWO)])
    bench.groups.fill([node("a", 2)])
    bench.finish("group-1")
    bench.notes.ends = {"group-1": None}
    bench.groups.fill([node("a", 2)])
    assert [(name, shape) for name, shape, _ in bench.notes.started] == [("group-1", ONE), ("group-2", TWO)]


def test_a_shape_whose_groups_are_lost_again_and_again_is_given_up_with_the_last_reason() -> None:
    bench = Bench(seeds(2))
    for loss in range(1, FAILURES_IN_A_ROW + 1):
        bench.groups.fill([node("a", 1)])
        bench.notes.ends = {f"group-{loss}": f"no room, try {loss}"}
    bench.groups.fill([node("a", 1)])
    ends = [event for event in bench.record if isinstance(event, TrialEnded)]
    assert [(end.outcome, end.reason) for end in ends] == [(Outcome.FAILED, "no room, try 3")] * 2
    assert bench.queue.snapshot().done


def test_a_group_that_ended_a_trial_before_it_was_lost_is_no_failure() -> None:
    bench = Bench(seeds(9))
    for loss in range(1, 6):
        bench.groups.fill([node("a", 1)])
        bench.finish(f"group-{loss}")
        bench.notes.ends = {f"group-{loss}": "a node died"}
    bench.groups.fill([node("a", 1)])
    assert len(bench.notes.started) == 6
    assert bench.queue.snapshot().waiting == 4


def test_a_group_that_hangs_is_killed_and_its_trial_waits_again() -> None:
    bench = Bench(seeds(1))
    bench.groups.fill([node("a", 1)])
    bench.queue.lease("group-1", ONE)
    bench.clock.now_s += 61
    bench.groups.fill([node("a", 1)])
    assert bench.notes.killed == ["group-1"]
    assert bench.queue.snapshot().waiting == 1


def test_what_a_lost_node_alone_could_hold_waits_ten_minutes_for_it_and_is_then_infeasible() -> None:
    bench = Bench(seeds(1, shape=TWO))
    small = [node("a", 1)]
    bench.groups.fill(small)
    bench.clock.now_s += ROOM_COMES_BACK_S
    bench.groups.fill(small)
    assert not bench.queue.snapshot().done
    bench.clock.now_s += 1
    bench.groups.fill(small)
    (ended,) = bench.queue.snapshot().ended
    assert ended.outcome is Outcome.INFEASIBLE


def test_a_node_that_comes_back_in_time_is_used() -> None:
    bench = Bench(seeds(1, shape=TWO))
    for cpus in (1, 1, 2):
        bench.clock.now_s += ROOM_COMES_BACK_S - 1
        bench.groups.fill([node("a", cpus)])
    assert len(bench.notes.started) == 1


class Counted(NodeRoom):
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
    bench.groups.fill(nodes)
    first = Counted.looks
    assert first <= 10 * (len(bench.notes.started) + 3 * 100)
    bench.groups.fill(nodes)
    assert Counted.looks - first <= 10 * 3 * 100


def seeds_of(index: int, count: int, shape: Shape) -> list[Job]:
    return jobs(*(a_trial(seed=1000 * index + seed) for seed in range(count)), shape=shape)
