"""Words about room that other work on the cluster uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cluster import reconciliation
from harness.cluster.group_settings import GroupSettings
from harness.cluster.reconciliation import Reconciliation
from harness.scheduling.feasibility import NodeResources
from harness.scheduling.group_manager import Groups
from tests.support.trials import ONE, Clock
from tests.unit.scheduling.test_group_manager import Bench, seeds

JOB = {"IsDead": False, "JobID": "02", "Entrypoint": "python train.py", "DriverPid": 7, "DriverIPAddress": "10.0.0.9"}


@dataclass
class Cluster:
    """A cluster of one node with two cores, of which some are free."""

    free: float = 0.0
    jobs: list[dict[str, Any]] = field(default_factory=lambda: [JOB, JOB | {"JobID": "01", "Entrypoint": "ours"}])

    def private_names(self) -> dict[str, SimpleNamespace]:
        answers = {"available_resources": lambda: {"a": {"CPU": self.free}}, "jobs": lambda: self.jobs}
        return {name: SimpleNamespace(find=lambda answer=answer: answer) for name, answer in answers.items()}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(reconciliation, "PRIVATE_NAMES", made.private_names())
    monkeypatch.setattr(reconciliation, "node_resources", lambda: (NodeResources(cpus=2, gpus=0, name="a"),))
    monkeypatch.setattr(reconciliation, "placed_groups", lambda _name, _groups: frozenset())
    monkeypatch.setattr(reconciliation.ray, "get_runtime_context", lambda: SimpleNamespace(get_job_id=lambda: "01"))
    return made


def watched(bench: Bench, tmp_path, lines: list[str]) -> tuple[Reconciliation, Clock, Groups]:
    made = Reconciliation(
        bench.groups, GroupSettings(folder=tmp_path), is_shared=True, say=lines.append, clock=bench.clock
    )
    return made, bench.clock, bench.groups


def test_a_sweep_that_finds_no_room_says_who_uses_it_ever_more_rarely_and_starts_when_it_is_free(
    cluster: Cluster, tmp_path
) -> None:
    bench, lines = Bench(seeds(1)), []
    look, clock, groups = watched(bench, tmp_path, lines)
    for _ in range(300):
        look.run()
        clock.now_s += 1
    assert lines[0] == (
        "Waiting for room on the cluster for 10 s: 1 x (1 CPU). In use are 2 of 2 CPUs, by this sweep and "
        "python train.py (process 7 on 10.0.0.9). Trials start when there is room; Ctrl-C ends this."
    )
    assert [line.split(" for ")[2].split(":")[0] for line in lines] == ["10 s", "70 s", "190 s"]
    cluster.free = 2.0
    look.run()
    assert list(groups.running) == ["group-1"]
    assert groups.crowded_out == {}
    assert bench.record == []


def test_of_many_jobs_three_are_named_and_a_long_command_is_cut(cluster: Cluster, tmp_path) -> None:
    cluster.jobs = [JOB | {"JobID": str(number), "Entrypoint": "x" * 200} for number in range(10, 20)]
    lines: list[str] = []
    look, clock, _ = watched(Bench(seeds(1)), tmp_path, lines)
    look.run()
    clock.now_s += 11
    look.run()
    assert lines[0].count("(process 7") == 3
    assert "7 jobs more" in lines[0]
    assert "x" * 61 not in lines[0]


def test_workers_that_do_not_start_are_spoken_of_until_the_first_one_works(cluster: Cluster, tmp_path) -> None:
    cluster.free = 2.0
    bench, lines = Bench(seeds(2)), []
    look, clock, _ = watched(bench, tmp_path, lines)
    for _ in range(120):
        look.run()
        clock.now_s += 1
    assert [line.split(",")[0] for line in lines] == [
        f"Waiting for the first workers to start for {seconds} s" for seconds in (45, 105)
    ]
    assert "Ray's logs of each node are in /tmp/ray/session_latest/logs; Ctrl-C ends this." in lines[0]
    assert bench.queue.lease("group-1", ONE)
    for _ in range(300):
        look.run()
        clock.now_s += 1
    assert len(lines) == 2


def test_a_local_ray_is_all_ours_and_nobody_is_asked(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "node_resources", lambda: (NodeResources(cpus=2, gpus=0, name="a"),))
    monkeypatch.setattr(reconciliation, "placed_groups", lambda *_: pytest.fail("asked"))
    bench = Bench(seeds(1, shape=ONE))
    Reconciliation(bench.groups, GroupSettings(folder=tmp_path), is_shared=False).run()
    assert list(bench.groups.running) == ["group-1"]
