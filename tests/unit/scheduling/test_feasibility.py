"""Feasibility: the nodes on which a shape fits."""

from __future__ import annotations

from dataclasses import replace

from harness.scheduling.feasibility import NodeResources, infeasibility_reason, place_group
from harness.scheduling.types import Shape


def cpus(workers: int, each: int = 1) -> Shape:
    return Shape(workers=workers, device="cpu", cpus_per_worker=each, gpus_per_worker=0.0)


def gpus(workers: int, share: float = 1.0) -> Shape:
    return Shape(workers=workers, device="cuda", cpus_per_worker=1, gpus_per_worker=share)


def test_workers_spill_over_to_a_second_node_and_leave_what_is_left() -> None:
    nodes = [NodeResources(cpus=16, gpus=4), NodeResources(cpus=16, gpus=8)]
    rest = place_group(gpus(10), nodes)
    assert rest is not None
    assert [(node.cpus, node.gpus) for node in rest] == [(14, 2), (8, 0)]


def test_a_spread_group_takes_a_worker_from_every_node_before_a_second_from_any() -> None:
    nodes = [NodeResources(cpus=8, gpus=0), NodeResources(cpus=1, gpus=0), NodeResources(cpus=8, gpus=0)]
    rest = place_group(replace(cpus(5), placement="spread"), nodes)
    assert rest is not None
    assert [node.cpus for node in rest] == [6, 0, 6]
    packed = place_group(cpus(5), nodes)
    assert packed is not None
    assert [node.cpus for node in packed] == [3, 1, 8]


def test_a_spread_group_that_one_node_alone_can_hold_still_fits() -> None:
    assert infeasibility_reason(replace(cpus(3), placement="spread"), [NodeResources(cpus=3, gpus=0)]) is None
    assert infeasibility_reason(replace(cpus(4), placement="spread"), [NodeResources(cpus=3, gpus=0)]) is not None


def test_a_group_that_does_not_fit_says_how_much_there_is() -> None:
    reason = infeasibility_reason(cpus(4), [NodeResources(cpus=2, gpus=0)])
    assert reason is not None
    for word in ("4 workers", "2 CPUs", "1 node", "room for 2", "scale.workers"):
        assert word in reason


def test_cpus_of_two_nodes_do_not_add_up_for_one_worker() -> None:
    assert place_group(cpus(1, each=3), [NodeResources(cpus=2, gpus=0), NodeResources(cpus=2, gpus=0)]) is None


def test_quarters_of_a_gpu_hold_four_workers_and_not_five() -> None:
    node = [NodeResources(cpus=16, gpus=1)]
    assert infeasibility_reason(gpus(4, 0.25), node) is None
    assert infeasibility_reason(gpus(5, 0.25), node) is not None


def test_what_is_left_of_two_gpus_is_not_one_gpu() -> None:
    assert infeasibility_reason(gpus(2, 0.6), [NodeResources(cpus=16, gpus=2)]) is None
    assert infeasibility_reason(gpus(3, 0.6), [NodeResources(cpus=16, gpus=2)]) is not None


def test_tenths_of_a_gpu_are_not_lost_to_rounding() -> None:
    assert infeasibility_reason(gpus(10, 0.1), [NodeResources(cpus=16, gpus=1)]) is None


def test_a_gpu_trial_does_not_fit_where_there_are_only_cpus() -> None:
    assert infeasibility_reason(gpus(1), [NodeResources(cpus=64, gpus=0)]) is not None
