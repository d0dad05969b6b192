"""Timing trials: the results that they emit, and a planted data stall. Time is simulated; nothing here sleeps."""

import csv
import dataclasses

import numpy as np
import pytest
import torch

from harness.engine import attempt_trial, run_trial
from harness.engine.step_breakdown import _by_phase
from harness.errors import Stopped
from harness.events import ArtifactWritten, TrialStarted
from harness.schema import METRICS, Outcome
from tests.support.environment import start_program
from workloads.datasets.in_memory import ImagesInMemory


@pytest.fixture
def time(monkeypatch, simulate):
    """Simulate time: forward takes 30 ms, backward 40 ms, the optimizer 10 ms, and nothing else any."""
    return simulate(monkeypatch.setattr, {"forward": 0.03, "backward": 0.04, "optimizer": 0.01})


@pytest.fixture
def timing_trial(make_trial):
    return lambda **recipe: dataclasses.replace(
        make_trial(**{"epochs": None, "iterations": 50, "warmup_fraction": 0.0, **recipe}), measure="throughput"
    )


def stalls(monkeypatch, time, seconds: float) -> None:
    """Delay every real batch by this many seconds."""
    plain = ImagesInMemory.train_batches

    def late(self, **settings):
        for batch in plain(self, **settings):
            time.passes(seconds)
            yield batch

    monkeypatch.setattr(ImagesInMemory, "train_batches", late)


def test_a_stall_of_20_pct_is_found_and_nothing_else_is_blamed(recording, timing_trial, time, monkeypatch):
    """20 ms of waiting beside 80 ms of work: 96 images in 100 ms."""
    stalls(monkeypatch, time, 0.02)
    results = run_trial(timing_trial(), recording(clock=time).context).results
    assert results["parts/data_stall_pct"] == pytest.approx(20)
    assert results["parts/data_stall_pct_low"] == pytest.approx(results["parts/data_stall_pct_high"])
    assert results["speed/images_per_s"] == pytest.approx(960)
    assert results["parts/compute_ms"] == pytest.approx(80)
    assert results["parts/whole_ms"] == pytest.approx(100)
    assert "parts/communication_pct" not in results


def test_phases_are_those_of_the_step_and_add_up_to_it(steady):
    _, ended = steady
    phases = [ended.results[f"parts/{phase}_ms"] for phase in ("forward", "backward", "optimizer", "compute")]
    assert phases == pytest.approx([30, 40, 10, 80])
    assert ended.results["parts/data_stall_pct"] == pytest.approx(0)


def test_of_a_step_in_two_parts_forward_and_backward_come_twice_and_the_optimizer_once(recording, timing_trial, time):
    results = run_trial(timing_trial(micro_batch_size=48), recording(clock=time).context).results
    phases = [results[f"parts/{phase}_ms"] for phase in ("forward", "backward", "optimizer", "compute")]
    assert phases == pytest.approx([60, 80, 10, 150])


def test_a_steady_run_is_timed_after_three_windows_and_has_settled(steady):
    results = steady[1].results
    assert (results["speed/warmup_steps"], results["speed/warmed_up"]) == (15, 1)
    assert (results["speed/settled"], results["speed/steps_timed"]) == (1, 50)
    assert results["speed/images_per_s_low"] == pytest.approx(1200) == results["speed/images_per_s_high"]
    assert results["speed/block_images_per_s_p5"] == pytest.approx(1200)


def test_a_run_that_never_becomes_steady_is_timed_all_the_same_and_says_so(recording, timing_trial, time, monkeypatch):
    """Each batch is delayed by 1 % of a step more than the one before, for 100 steps and beyond."""
    late = iter(np.arange(1, 10_000) * 0.02)
    plain = ImagesInMemory.train_batches
    monkeypatch.setattr(
        ImagesInMemory,
        "train_batches",
        lambda self, **settings: (batch for batch in plain(self, **settings) if time.passes(next(late)) is None),
    )
    results = run_trial(timing_trial(), recording(clock=time).context).results
    assert (results["speed/warmup_steps"], results["speed/settled"]) == (100, 0)
    assert results["speed/drift_pct"] < 0


def test_shares_of_peaks_by_hand(steady):
    """At 1,200 images/s; the device multiplies at 1 TFLOP/s and copies 100 GB/s: its roofs meet at 10 FLOPs a byte."""
    results = steady[1].results
    flops_per_s = 1200 * results["model/train_flops_per_image"]
    assert results["speed/measured_peak_pct"] == pytest.approx(100 * flops_per_s / 1e12)
    assert results["roofline/ridge_flops_per_byte"] == 10
    lower = min(1e12, 1e11 * results["roofline/flops_per_byte"])
    assert results["roofline/attainable_pct"] == pytest.approx(100 * flops_per_s / lower)
    assert "speed/mfu_pct" not in results


def test_every_result_is_in_the_schema_and_a_run_stays_under_sixty(steady):
    recorded, ended = steady
    assert (ended.outcome, ended.reason) == (Outcome.FINISHED, "")
    assert set(ended.results) <= set(METRICS)
    assert len(ended.results) < 60
    started, written = recorded.events
    assert isinstance(started, TrialStarted)
    assert started.tags["device.peaks"].startswith("no MFU: no published peak is known for ")
    assert written == ArtifactWritten(
        trial_id=ended.trial_id, attempt=1, path="timed_steps.csv", time_ms=written.time_ms
    )
    assert not recorded.checkpoints


def test_the_table_of_steps_adds_up_to_the_time_that_all_ranks_took(steady):
    recorded, _ = steady
    rows = list(csv.DictReader((recorded.context.folder / "timed_steps.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 51)]
    assert sum(float(row["seconds"]) for row in rows) == pytest.approx(50 * 0.08)
    assert rows[0]["seconds_rank_0"] == rows[0]["seconds"]


def test_a_timing_trial_stops_between_steps_and_ends_when_its_time_is_up(recording, timing_trial, time):
    stopped = recording(clock=time)
    stopped.stop_after = 7
    with pytest.raises(Stopped, match="stopped after 7 steps; a timing trial starts again from the beginning"):
        run_trial(timing_trial(), stopped.context)
    ended = attempt_trial(timing_trial(), recording(timeout_s=1.0, clock=time).context)
    assert (ended.outcome, ended.reason) == (Outcome.TIMED_OUT, "out of time after 13 steps")


def test_laps_of_parts_are_sorted_by_phase():
    """One step in two parts: forward 1 and 3, backward 2 and 4, optimizer 5."""
    laps = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]])
    assert _by_phase(laps).tolist() == [[4, 6, 5]]


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Return the results of two workers over gloo: rank 1 is slow, and so is the communication of gradients."""
    folder = tmp_path_factory.mktemp("timed_workers")
    workers = [
        start_program("tests.unit.engine.timed_workers", rank, folder, GLOO_SOCKET_IFNAME="lo") for rank in range(2)
    ]
    for worker in workers:
        output, _ = worker.communicate(timeout=300)
        assert worker.returncode == 0, output
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in range(2)]


def test_a_slow_rank_and_slow_communication_are_each_found_and_told_apart(ranks):
    """Rank 0 works 80 ms, rank 1 110 ms; then 50 ms of communication: 160 ms in all, 96 images in each."""
    results = ranks[0].results
    assert results["parts/slowest_rank"] == 1
    assert results["parts/straggler_pct"] == pytest.approx(100 * (1 - 80 / 110))
    assert results["parts/communication_pct"] == pytest.approx(100 * 50 / 160)
    assert results["parts/data_stall_pct"] == pytest.approx(0, abs=1e-6)
    assert (results["parts/compute_ms"], results["parts/whole_ms"]) == pytest.approx((110, 160))


def test_the_groups_rate_is_that_of_the_slowest_rank_and_the_same_on_every_rank(ranks):
    """From rank 0 alone, or twice its own share, the rate would be 96 / 0.13 s = 738 images/s."""
    assert ranks[0].results["speed/images_per_s"] == pytest.approx(96 / 0.16)
    assert ranks[0].results == ranks[1].results
