"""Monitoring the devices of an attempt: the events sent, the files kept, and no effect on training."""

import csv
import dataclasses
import gzip
import json
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import harness.engine.monitor as monitors
from harness.engine import attempt_trial
from harness.engine.context import Monitoring
from harness.engine.monitor import Monitor, monitored
from harness.errors import Stopped
from harness.events import ArtifactWritten, EpochEnded, Monitored, TrialEnded, TrialStarted
from harness.schema import Outcome

WATCHED = Monitoring(visible_devices=None)


@pytest.fixture
def gpu(fake_nvml, monkeypatch):
    """Provide a GPU in NVML that CUDA reports as this process's, although torch cannot compute on it here."""
    monkeypatch.setattr(monitors, "cuda_uuid", lambda _device: "aaaa")
    device = fake_nvml.gpu("GPU-aaaa", "NVIDIA H200")
    device.set(busy=90, power_mw=200_000, memory_used=2**30, gpm_support=1)
    return device


def monitored_events(recorded):
    return [event for event in recorded.events if isinstance(event, Monitored)]


def tags_of(recorded):
    return {key: value for event in monitored_events(recorded) for key, value in event.tags.items()}


def test_a_watched_trial_has_the_numbers_of_one_that_nobody_watches(recording, make_trial, timeless):
    plain, watched = recording(), recording(monitoring=WATCHED)
    alone = attempt_trial(make_trial(), plain.context)
    seen = attempt_trial(make_trial(), watched.context)
    mine = {"host/cpu_pct"}
    assert {key: value for key, value in timeless(seen).items() if key not in mine} == timeless(alone)
    assert watched.curves() == plain.curves()


def test_a_machine_without_a_gpu_shows_its_processors_and_memory(recording, make_trial):
    recorded = recording(monitoring=WATCHED)
    ended = attempt_trial(make_trial(), recorded.context)
    points = [point for event in monitored_events(recorded) for point in event.points]
    assert {key for point in points for key in point["values"]} == {
        "system/cpu_utilization_percentage",
        "system/system_memory_usage_percentage",
    }
    assert [point["step"] for point in points] == sorted({point["step"] for point in points})
    assert 0 <= ended.results["host/cpu_pct"] <= 100
    assert tags_of(recorded) == {"monitor.absent": "nothing"}


def test_files_are_there_before_they_are_told_of(recording, make_trial):
    recorded = recording(monitoring=WATCHED)
    attempt_trial(make_trial(), recorded.context)
    paths = [event.path for event in recorded.events if isinstance(event, ArtifactWritten)]
    assert paths == ["steps.csv", "monitor/summary.json", "monitor/attempt-1-rank-0.csv.gz"]
    summary = json.loads((recorded.context.folder / paths[1]).read_text())
    [node] = summary["nodes"]
    with gzip.open(recorded.context.folder / paths[2], "rt") as file:
        assert len(list(csv.DictReader(file))) == node["sources"][0]["readings"]
    assert (node["host"], node["sources"][0]["source"]) == (socket.gethostname(), "host")


def test_nobody_watches_after_the_end(recording, make_trial):
    attempt_trial(make_trial(), recording(monitoring=WATCHED).context)
    assert "monitor" not in {thread.name for thread in threading.enumerate()}


def test_nobody_watches_after_a_stop_or_a_failure(recording, make_trial, monkeypatch):
    stopped = recording(monitoring=WATCHED)
    stopped.stop_after = 3
    with pytest.raises(Stopped):
        attempt_trial(make_trial(), stopped.context)
    assert attempt_trial(make_trial(batch_size=2000), recording(monitoring=WATCHED).context).outcome is Outcome.FAILED
    assert "monitor" not in {thread.name for thread in threading.enumerate()}


def test_the_gpu_of_a_trial_is_watched_and_its_energy_counted(recording, make_trial, gpu):
    """Power is 200 W throughout: the trial's energy is 200 W times the monitored time; it has 30 steps of 96 images."""
    gpu.fail("energy_mj", 3)
    recorded = recording(monitoring=WATCHED)
    results = attempt_trial(make_trial(), recorded.context).results
    [node] = json.loads((recorded.context.folder / "monitor/summary.json").read_text())["nodes"]
    found = next(each for each in node["sources"] if each["source"] == "gpu_0")
    assert (results["device/busy_pct"], results["device/power_w"]) == (90, 200)
    assert results["device/energy_j"] == found["energy_by_power_j"] > 0
    assert results["device/energy_j"] < 200 * (results["time/total_s"] + 60)
    assert results["device/energy_j_per_image"] == pytest.approx(results["device/energy_j"] / (30 * 96))
    tags = tags_of(recorded)
    assert tags["device.uuids"] == "GPU-aaaa"
    assert (tags["device.throttled"], tags["device.energy_from"]) == ("no", "power")
    assert tags["monitor.absent"] == "gpu_0 energy_counter_j: Not Supported"


def test_a_throttled_and_shared_gpu_marks_the_trial(recording, make_trial, gpu):
    gpu.set(reasons=0x40)
    gpu.hold_memory(os.getpid())
    gpu.hold_memory(4_000_000)
    recorded = recording(monitoring=WATCHED)
    attempt_trial(make_trial(epochs=1), recorded.context)
    tags = tags_of(recorded)
    assert tags["device.throttled"] == "gpu_0: heat, by hardware in 100 % of readings"
    assert tags["device.shared"] == "with 1 other process"


def test_a_gpu_that_vanishes_in_the_middle_leaves_its_energy_unknown_and_ends_no_trial(recording, make_trial, gpu):
    recorded = recording(monitoring=WATCHED)
    pass_on = recorded.context.emit
    vanishing = dataclasses.replace(
        recorded.context, emit=lambda event: (gpu.lose() if isinstance(event, EpochEnded) else None, pass_on(event))
    )
    ended = attempt_trial(make_trial(), vanishing)
    assert ended.outcome is Outcome.FINISHED
    assert "device/energy_j" not in ended.results
    assert "gpu_0 was lost: GPU is lost" in tags_of(recorded)["monitor.absent"]


def test_where_nvml_is_missing_that_is_said_and_the_host_is_watched(recording, make_trial, fake_nvml, monkeypatch):
    monkeypatch.setattr(monitors, "cuda_uuid", lambda _device: "aaaa")
    fake_nvml.no_driver()
    recorded = recording(monitoring=WATCHED)
    results = attempt_trial(make_trial(epochs=1), recorded.context).results
    assert "gpu_0 everything: NVML: " in tags_of(recorded)["monitor.absent"]
    assert "host/cpu_pct" in results
    assert "device/energy_j" not in results


def test_a_slice_is_found_by_the_name_that_made_it_visible(recording, make_trial, gpu, fake_nvml):
    fake_nvml.slice(gpu, "MIG-bbbb", instance=2).set(busy=5)
    recorded = recording(monitoring=Monitoring(visible_devices="MIG-bbbb"))
    attempt_trial(make_trial(epochs=1), recorded.context)
    assert tags_of(recorded)["device.uuids"] == "MIG-bbbb"
    assert "gpu_0 power_w: not reported for a slice" in tags_of(recorded)["monitor.absent"]


def test_series_go_out_while_a_long_trial_runs(recording, make_trial, monkeypatch):
    recorded = recording(monitoring=WATCHED)
    monkeypatch.setattr(monitors, "SEND_EVERY_MS", 0)
    monkeypatch.setattr("harness.measure.windows.FIRST_WIDTH_MS", 1)
    with monitored(make_trial(), recorded.context) as monitor:
        monitor.context.emit(TrialStarted(trial_id="t", attempt=1, tags={}))
        while not monitored_events(recorded):
            monitor.context.emit(EpochEnded(trial_id="t", attempt=1, epoch=1, values={}))
    assert monitored_events(recorded)[0].points


class Ranks:
    """Several ranks as threads, whose `all_objects` meets at a barrier."""

    def __init__(self, count):
        self.count, self.barrier = count, threading.Barrier(count)
        self.values, self.local = [None] * count, threading.local()

    def all_objects(self, value, world_size):
        self.values[self.local.rank] = value
        self.barrier.wait(30)
        found = list(self.values)
        self.barrier.wait(30)
        return found

    def run(self, work):
        def one(rank):
            self.local.rank = rank
            return work(rank)

        with ThreadPoolExecutor(self.count) as pool:
            return list(pool.map(one, range(self.count)))


def test_each_device_and_each_host_is_watched_once_and_all_ranks_get_the_same(
    recording, make_trial, fake_nvml, monkeypatch
):
    """Ranks 0 and 1 share a GPU of alpha, rank 2 has another GPU of alpha, rank 3 is alone on beta."""
    hosts, devices = ["alpha", "alpha", "alpha", "beta"], ["aaaa", "aaaa", "bbbb", "cccc"]
    for uuid, watts in (("GPU-aaaa", 100), ("GPU-bbbb", 200), ("GPU-cccc", 300)):
        fake_nvml.gpu(uuid).set(power_mw=1000 * watts)
    ranks, recorded = Ranks(4), [recording(monitoring=WATCHED) for _ in range(4)]
    monkeypatch.setattr(monitors, "all_objects", ranks.all_objects)
    monkeypatch.setattr(monitors.socket, "gethostname", lambda: hosts[ranks.local.rank])
    monkeypatch.setattr(monitors, "cuda_uuid", lambda _device: devices[ranks.local.rank])

    def attempt(rank):
        context = dataclasses.replace(recorded[rank].context, rank=rank, world_size=4)
        with monitored(make_trial(workers=4), context) as monitor:
            return monitor.finish(TrialEnded(trial_id="t", attempt=1, outcome=Outcome.FINISHED, time_ms=0))

    ends = ranks.run(attempt)
    assert [end.results for end in ends] == [ends[0].results] * 4
    assert ends[0].results["device/power_w"] == pytest.approx(200)
    assert tags_of(recorded[0])["device.uuids"] == "GPU-aaaa GPU-bbbb GPU-cccc"
    assert [bool(each.events) for each in recorded] == [True, False, False, False]
    nodes = json.loads((recorded[0].context.folder / "monitor/summary.json").read_text())["nodes"]
    assert [(node["host"], [each["source"] for each in node["sources"]]) for node in nodes] == [
        ("alpha", ["gpu_0", "host"]),
        ("alpha", ["gpu_1"]),
        ("beta", ["gpu_0", "host"]),
    ]
    names = {key for event in monitored_events(recorded[0]) for point in event.points for key in point["values"]}
    assert names == {
        "system/alpha/gpu_0_utilization_percentage",
        "system/alpha/gpu_1_utilization_percentage",
        "system/beta/gpu_0_utilization_percentage",
        "system/alpha/gpu_0_power_usage_watts",
        "system/alpha/gpu_1_power_usage_watts",
    }


def test_without_watching_nothing_is_done_at_all(recording, make_trial):
    recorded = recording()
    monitor = Monitor(make_trial(), recorded.context, None)
    end = TrialEnded(trial_id="t", attempt=1, outcome=Outcome.FINISHED)
    assert monitor.context is recorded.context
    assert monitor.finish(end) is end
    assert recorded.events == []
