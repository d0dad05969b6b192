"""The GPU's clock, on a simulated device: work is queued at once and done later, and each kernel takes its own time."""

import dataclasses

import pytest
import torch

from harness.engine import run_trial
from harness.engine.timing import DeviceClock, HostClock, step_clock


class Device:
    """A queue of marks; the time of a mark is the amount of work queued before it."""

    def __init__(self):
        self.now_ms = 0.0
        self.synchronized = 0

    def work(self, ms: float) -> None:
        self.now_ms += ms


@pytest.fixture
def device(monkeypatch):
    simulated = Device()

    class Event:
        def __init__(self, enable_timing=False):
            assert enable_timing

        def record(self, stream):
            self.moment_ms = simulated.now_ms

        def elapsed_time(self, later):
            assert simulated.synchronized, "a mark was read before the device had passed it"
            return later.moment_ms - self.moment_ms

    def synchronize(device):
        simulated.synchronized += 1

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    return simulated


def test_each_step_lasts_from_mark_to_mark_and_a_pause_belongs_to_none(device):
    clock = step_clock(torch.device("cuda", 0))
    assert isinstance(clock, DeviceClock)
    clock.start()
    for ms in (10, 20):
        device.work(ms)
        clock.lap()
    device.work(5000)  # a checkpoint
    clock.start()
    device.work(30)
    clock.lap()
    assert clock.take() == pytest.approx([0.010, 0.020, 0.030])
    assert clock.take() == []


def test_no_step_waits_for_the_device(device):
    clock = DeviceClock(torch.device("cuda", 0))
    clock.start()
    for _ in range(100):
        clock.lap()
    assert device.synchronized == 0
    clock.take()
    assert device.synchronized == 1


def test_a_timing_trial_finds_the_same_steps_and_phases_by_the_devices_clock(
    device, simulate, recording, make_trial, monkeypatch
):
    """The network runs on the host, whose own clock stands still: every duration comes from the device's marks.

    96 images in 30 + 40 + 10 ms are 1,200 a second.
    """
    time = simulate(monkeypatch.setattr, {"forward": 0.03, "backward": 0.04, "optimizer": 0.01})
    monkeypatch.setattr(time, "passes", lambda seconds: device.work(1e3 * seconds))
    for module in ("step_breakdown", "throughput"):
        monkeypatch.setattr(f"harness.engine.{module}.step_clock", lambda device, _clock: DeviceClock(device))
    trial = make_trial(epochs=None, iterations=50, warmup_fraction=0.0)
    results = run_trial(dataclasses.replace(trial, measure="throughput"), recording(clock=time).context).results
    assert results["speed/images_per_s"] == pytest.approx(1200)
    phases = [results[f"parts/{phase}_ms"] for phase in ("forward", "backward", "optimizer", "compute")]
    assert phases == pytest.approx([30, 40, 10, 80])
    assert results["parts/data_stall_pct"] == pytest.approx(0)


def test_the_hosts_clock_leaves_pauses_out_too():
    moments = iter([100.0, 100.5, 101.5, 200.0, 202.0])
    clock = step_clock(torch.device("cpu"), lambda: next(moments))
    assert isinstance(clock, HostClock)
    clock.start()
    clock.lap()
    clock.lap()
    clock.start()
    clock.lap()
    assert clock.take() == [0.5, 1.0, 2.0]
    assert clock.take() == []
