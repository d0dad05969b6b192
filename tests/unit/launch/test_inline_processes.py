"""The process group that torchrun's processes join, on a machine that reports GPUs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from harness import worker_loop as leases
from harness.engine.failure import PeerLost
from harness.events import Event, TrialEnded
from harness.launch import inline
from harness.launch import run as command
from harness.launch.inline import InlineConfig, Processes
from harness.options import RunOptions
from harness.scheduling.queue import TrialQueue
from harness.schema import Outcome
from harness.signals import StopSignal
from harness.trial import AttemptSettings
from harness.worker_loop import GroupBroken
from harness.workload.load import parse_workload
from tests.support.trials import TWO, a_trial, jobs

TEXT = """
name: w
dataset: digits
matrix: {model: resnet_cifar, depth: 8}
recipe: quick
seeds: 1
"""


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the kind of device for which each process group is made."""
    kinds: list[str] = []

    @contextlib.contextmanager
    def process_group(device: torch.device, *, timeout_s: float) -> Iterator[tuple[int, int]]:
        kinds.append(device.type)
        yield 1, 2

    monkeypatch.setattr(inline, "has_gpus", lambda: True)
    monkeypatch.setattr(inline, "process_group", process_group)
    monkeypatch.setattr(inline, "run_follower", lambda _world, _stop: None)
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _device: None)
    return kinds


@pytest.mark.parametrize(
    ("device", "kind"), [("cpu", "cpu"), ("cuda", "cuda"), ("auto", "cuda"), ("[cpu, cuda]", "cuda")]
)
def test_the_group_is_one_of_gpus_only_where_a_trial_may_want_one(
    joined: list[str], tmp_path: Path, device: str, kind: str
) -> None:
    """NCCL sums no tensors of a CPU, and on a machine with one GPU a second process has no GPU to join with."""
    options = RunOptions(
        workload=parse_workload("w.yaml", TEXT + f"scale: {{workers: 2, device: {device}}}\n"),
        storage=tmp_path,
        tracking_uri="sqlite:///none.db",
        experiment="w",
        address=None,
        launcher="inline",
        out=tmp_path,
        fresh=False,
        json=False,
        report=False,
    )
    command.run_sweep_command(options)
    assert joined == [kind]


def test_a_trial_for_cpus_is_infeasible_world_processes_that_talk_over_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inline, "_share", lambda config, _world: config)
    told: list[Event] = []
    queue = TrialQueue(jobs(a_trial(), shape=TWO), told.append)
    config = InlineConfig(folder=tmp_path, shapes=(TWO,), attempt=AttemptSettings())
    with StopSignal() as stop:
        inline.run_rank0(queue, config, Processes(rank=0, world_size=2, on_gpus=True), lambda _snapshot: None, stop)
    (ended,) = told
    assert isinstance(ended, TrialEnded)
    assert ended.outcome is Outcome.INFEASIBLE
    assert "use --launcher ray" in ended.reason


def test_under_torchrun_a_trial_whose_other_rank_is_lost_is_recorded_before_the_processes_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meet_silence(*_args: object) -> TrialEnded:
        raise PeerLost("RuntimeError: connection closed by peer")

    monkeypatch.setattr(inline, "_share", lambda config, _world: config)
    monkeypatch.setattr(leases, "from_rank_0", lambda value, _world_size: value)
    monkeypatch.setattr(leases, "NOTICE_S", 0.0)
    monkeypatch.setattr(leases, "attempt_trial", meet_silence)
    told: list[Event] = []
    queue = TrialQueue(jobs(a_trial(), shape=TWO), told.append)
    config = InlineConfig(folder=tmp_path, shapes=(TWO,), attempt=AttemptSettings())
    with StopSignal() as stop, pytest.raises(GroupBroken):
        inline.run_rank0(queue, config, Processes(rank=0, world_size=2), lambda _snapshot: None, stop)
    (ended,) = told
    assert isinstance(ended, TrialEnded)
    assert (ended.outcome, ended.reason) == (
        Outcome.FAILED,
        "another rank is lost or out of reach: RuntimeError: connection closed by peer",
    )
