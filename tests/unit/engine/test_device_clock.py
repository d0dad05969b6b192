"""The GPU's clock, over a simulated device: work is queued at once and done later, each kernel taking its own time."""

import pytest
import torch

from harness.engine.timing import DeviceClock, HostClock, step_clock


class Device:
    """A queue of marks; each mark's moment is how much work was queued before it."""

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


def test_the_hosts_clock_leaves_pauses_out_too(monkeypatch):
    moments = iter([100.0, 100.5, 101.5, 200.0, 202.0])
    monkeypatch.setattr("harness.engine.timing.time.perf_counter", lambda: next(moments))
    clock = step_clock(torch.device("cpu"))
    assert isinstance(clock, HostClock)
    clock.start()
    clock.lap()
    clock.lap()
    clock.start()
    clock.lap()
    assert clock.take() == [0.5, 1.0, 2.0]
    assert clock.take() == []
