"""The thread that reads devices: the values it keeps, the errors it survives, and its results in a run."""

import csv
import gzip
import math
import threading
import time

import psutil
import pytest

from harness.measure.device_results import describe, measured, of_timed_steps
from harness.measure.host import HostReader
from harness.measure.sampler import RawFile, Sampler, Source, Track
from harness.measure.system_names import MOST_SERIES, shown_series
from harness.schema import METRICS


class Scripted:
    """A reader that gives prepared values, and then repeats the last one."""

    def __init__(self, *values):
        self.absent, self.errors, self.lost = {}, {}, None
        self.values, self.reads, self.closed = list(values), 0, False

    def read(self):
        self.reads += 1
        value = self.values[min(self.reads, len(self.values)) - 1]
        if isinstance(value, Exception):
            raise value
        return value

    def close(self):
        self.closed = True


def source(*values, name="gpu_0", period_s=0.01):
    return Source(name=name, device=f"GPU-{name} NVIDIA H200", reader=Scripted(*values), period_s=period_s)


def sampler(path, *sources):
    return Sampler(list(sources), RawFile(path / "raw.csv.gz"))


def rows(path):
    with gzip.open(path / "raw.csv.gz", "rt") as file:
        return list(csv.DictReader(file))


def wait_for(condition):
    while not condition():
        time.sleep(0.005)


def summary_of(*readings, every_s=1.0, **faults):
    track = Track(source(name=faults.pop("name", "gpu_0"), period_s=every_s), start_ms=0)
    for name, value in faults.items():
        setattr(track.source.reader, name, value)
    for index, values in enumerate(readings):
        track.add(index * every_s, round(1000 * index * every_s), values)
    return track.summary()


def test_every_reading_is_a_line_with_what_was_read(tmp_path):
    watched, host = source({"power_w": 300.5}), source({"host_cpu_pct": 12.0}, name="host")
    running = sampler(tmp_path, watched, host)
    running.start()
    wait_for(lambda: watched.reader.reads >= 3 and host.reader.reads >= 3)
    running.stop()
    lines = rows(tmp_path)
    assert len(lines) == watched.reader.reads + host.reader.reads
    assert {(line["source"], line["power_w"], line["host_cpu_pct"]) for line in lines} == {
        ("gpu_0", "300.5", ""),
        ("host", "", "12"),
    }
    assert watched.reader.closed
    assert running.fault is None


def test_each_source_has_its_own_pace(tmp_path):
    quick, slow = source({"power_w": 1.0}), source({"host_cpu_pct": 1.0}, name="host", period_s=60)
    running = sampler(tmp_path, quick, slow)
    running.start()
    wait_for(lambda: quick.reader.reads >= 5)
    running.stop()
    assert slow.reader.reads == 2  # at the start and at the end


def test_a_short_trial_has_a_reading_at_its_start_and_one_at_its_end(tmp_path):
    watched = source({"energy_counter_j": 1000.0}, {"energy_counter_j": 1150.0}, period_s=60)
    running = sampler(tmp_path, watched)
    running.start()
    wait_for(lambda: watched.reader.reads == 1)
    running.stop()
    running.stop()
    assert running.tracks[0].summary().energy_j == 150


def test_a_reader_that_breaks_ends_the_watching_and_nothing_else(tmp_path):
    watched = source({"power_w": 1.0}, ZeroDivisionError("of the reader"))
    running = sampler(tmp_path, watched)
    running.start()
    wait_for(lambda: running.fault is not None)
    running.stop()
    assert running.fault == "ZeroDivisionError: of the reader"
    summary = running.tracks[0].summary()
    assert (summary.means, summary.peaks, summary.energy_j) == ({}, {}, None)
    assert summary.partial["power_w"] == "no result, since reading ended early: ZeroDivisionError: of the reader"
    assert len(rows(tmp_path)) == 1


def test_a_full_disk_costs_the_file_and_not_the_means():
    raw = RawFile.__new__(RawFile)
    raw.fault = None
    raw._guarded(lambda: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    assert "No space left on device" in raw.fault
    raw.write(0, "gpu_0", {})
    raw.close()


def test_a_folder_that_cannot_be_made_is_a_fault_and_no_exception(tmp_path):
    (tmp_path / "file").write_text("")
    raw = RawFile(tmp_path / "file" / "raw.csv.gz")
    raw.write(0, "gpu_0", {})
    raw.close()
    assert raw.fault


def test_a_summary_has_means_peaks_and_lows_of_what_was_read():
    summary = summary_of(
        {"busy_pct": 10.0, "power_w": 100.0}, {"busy_pct": 40.0}, {"busy_pct": 100.0, "power_w": 300.0}
    )
    assert (summary.readings, summary.means) == (3, {"busy_pct": 50, "power_w": 200})
    assert (summary.peaks["busy_pct"], summary.lows["busy_pct"]) == (100, 10)
    assert (summary.energy_j, summary.energy_from) == (400, "power")


def test_a_few_readings_that_fail_are_bridged_and_a_counter_bridges_any_number():
    """4 of 400 readings fail, 1 %. The counter counts on while nobody reads it."""
    power = [{} if 100 <= second < 104 else {"power_w": 50.0} for second in range(401)]
    assert summary_of(*power).means == {"power_w": 50}
    assert summary_of(*power).energy_j == 400 * 50
    counter = [{} if 10 <= second < 90 else {"energy_counter_j": 300.0 * second} for second in range(101)]
    assert summary_of(*counter).energy_j == 100 * 300


def test_readings_that_stop_in_the_middle_are_no_result_and_the_tag_says_when_and_why():
    """A device that takes 300 W for 3,600 s; it tells 60 s of them, which would be 18,000 J for 1,080,000 J."""
    told = {"power_w": 300.0, "busy_pct": 90.0, "energy_counter_j": 0.0, "slowdown_bits": 4.0, "other_processes": 1.0}
    readings = [{**told, "energy_counter_j": 300.0 * second} if second <= 60 else {} for second in range(3601)]
    errors = dict.fromkeys(told, "Unknown Error")
    silent = summary_of(*readings, errors=errors)
    assert (silent.energy_j, silent.energy_from, silent.energy_by_power_j) == (None, None, None)
    assert (silent.means, silent.peaks, silent.lows, silent.slowdowns_pct) == ({}, {}, {}, {})
    whole = summary_of(
        {"power_w": 1.0, "energy_counter_j": 0.0}, {"power_w": 1.0, "energy_counter_j": 1.0}, name="gpu_1"
    )
    assert measured([silent, whole], images=10, whole_trial=True) == {}  # nor is the other's mean that of both
    tags = describe([silent], [])
    assert tags["monitor.absent"] == (
        "gpu_0 power_w, busy_pct, energy_counter_j, slowdown_bits, other_processes: no result, since it was read for "
        "60 of 3,600 s, last at 1970-01-01 00:01:00 UTC: Unknown Error; gpu_0 energy: no result, since it was read for "
        "60 of 3,600 s: Unknown Error"
    )
    assert not {"device.throttled", "device.shared", "device.energy_from"} & tags.keys()


def test_readings_that_begin_late_or_miss_the_timed_steps_are_no_result():
    late = summary_of(*({"power_w": 5.0} if second >= 50 else {} for second in range(101)))
    assert (late.means, late.energy_j) == ({}, None)
    assert late.partial["power_w"].startswith("no result, since it was read for 51 of 100 s")
    track = Track(source(period_s=1.0), start_ms=0)
    for second in range(101):
        track.add(second, 1000 * second, {"power_w": 5.0} if second < 60 else {}, timed=second >= 50)
    summary = track.summary()
    assert (summary.timed_power_w, summary.means) == (None, {})
    assert summary.partial["power_w"].startswith("no result, since it was read for 9 of 50 s")


def test_a_reading_that_returns_after_an_hour_is_no_result_of_that_hour_but_a_counter_is():
    """A device of 100 W; while a reading hangs, it takes 300 W for 3,600 s, which only its counter tells."""
    moments = [*range(61), *range(3661, 3721)]
    told = {True: {"power_w": 100.0}, False: {"power_w": 100.0, "energy_counter_j": 0.0}}
    found = {}
    for by_power, values in told.items():
        track = Track(source(period_s=1.0), start_ms=0)
        for second in moments:
            passed_j = 100.0 * second + (200 * 3600 if second > 60 else 0)
            counted = {"energy_counter_j": passed_j} if "energy_counter_j" in values else {}
            track.add(second, 1000 * second, values | counted)
        found[by_power] = track.summary()
    assert (found[True].energy_j, found[True].means, found[True].peaks) == (None, {}, {})
    assert found[True].partial["power_w"] == (
        "no result, since it was read for 124 of 3,720 s, last at 1970-01-01 01:02:00 UTC: no reading for 3,601 s"
    )
    assert (found[False].energy_j, found[False].energy_from) == (100 * 3720 + 200 * 3600, "counter")
    assert found[False].means == {}


def test_a_device_that_never_returns_from_a_reading_holds_up_no_trial(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.measure.sampler.STOP_S", 0.1)
    released = threading.Event()
    watched = source({"power_w": 1.0})
    read = watched.reader.read
    monkeypatch.setattr(watched.reader, "read", lambda: released.wait(60) if watched.reader.reads else read())
    running = sampler(tmp_path, watched)
    running.start()
    wait_for(lambda: watched.reader.reads)
    running.stop()
    try:
        assert running.fault == "a reading has not ended 0.1 s after the trial"
        assert running.tracks[0].summary().means == {}
        assert not watched.reader.closed
    finally:
        released.set()


def test_lowered_clocks_are_told_by_reason_and_share():
    """Bit 0x4 is the power cap, 0x40 heat, by hardware. 0x1 (idle) and 0x2 (chosen clocks) are no reason to worry."""
    bits = (0x4, 0x4 | 0x40, 0x1, 0x2)
    summary = summary_of(*({"slowdown_bits": float(value)} for value in bits))
    assert summary.slowdowns_pct == {"power cap": 50, "heat, by hardware": 25}
    assert describe([summary], [])["device.throttled"] == (
        "gpu_0: power cap in 50 % of readings; gpu_0: heat, by hardware in 25 % of readings"
    )
    assert describe([summary_of({"slowdown_bits": 1.0})], [])["device.throttled"] == "no"


def test_a_device_that_does_not_tell_is_neither_throttled_nor_not():
    summary = summary_of({"busy_pct": 1.0}, absent={"slowdown_bits": "Not Supported"})
    tags = describe([summary], [])
    assert "device.throttled" not in tags
    assert tags["monitor.absent"] == "gpu_0 slowdown_bits: Not Supported"


@pytest.mark.parametrize(
    ("others", "said"), [((0, 0), "no"), ((0, 1), "with 1 other process"), ((2, 1), "with 2 other processes")]
)
def test_a_device_on_which_others_hold_memory_is_shared(others, said):
    summary = summary_of(*({"other_processes": float(count)} for count in others))
    assert describe([summary], [])["device.shared"] == said


def test_energy_of_several_devices_is_their_sum_and_means_are_of_one():
    devices = [summary_of({"power_w": watts}, {"power_w": watts}, name=name) for name, watts in
               (("gpu_0", 100.0), ("gpu_1", 300.0))]  # fmt: skip
    values = measured(devices, images=50, whole_trial=True)
    assert values == {
        "device/power_w": 200,
        "device/power_peak_w": 300,
        "device/energy_j": 400,
        "device/energy_j_per_image": 8,
    }
    assert values.keys() <= METRICS.keys()


def test_one_device_that_does_not_tell_leaves_the_energy_of_all_unknown():
    devices = [summary_of({"power_w": 1.0}, {"power_w": 1.0}), summary_of({"busy_pct": 1.0})]
    lost = [summary_of({"power_w": 1.0}, {"power_w": 1.0}, lost="GPU is lost")]
    assert "device/energy_j" not in measured(devices, images=1, whole_trial=True)
    assert "device/energy_j" not in measured(lost, images=1, whole_trial=True)
    assert describe(lost, [])["monitor.absent"] == "gpu_0 was lost: GPU is lost"


def test_a_timing_trials_means_and_joules_per_image_are_of_its_timed_steps():
    """500 W while timed, at 50 images a second, are 10 J an image. All energy includes the 100 W while loading."""
    track = Track(source(), start_ms=0)
    for second, (watts, timed) in enumerate([(100, False), (100, False), (500, True), (500, True), (100, False)]):
        values = {"power_w": float(watts), "slowdown_bits": 0.0 if timed else 4.0}
        track.add(second, 1000 * second, values, timed=timed)
    summary = track.summary()
    assert (summary.means["power_w"], summary.slowdowns_pct) == (500, {})
    assert summary.energy_j == 100 + 300 + 500 + 300
    assert of_timed_steps([summary], images_per_s=50.0) == {"device/energy_j_per_image": 10}
    assert of_timed_steps([summary, summary_of({"busy_pct": 1.0})], images_per_s=50.0) == {}


def test_of_a_trial_that_was_resumed_the_whole_energy_is_unknown_and_that_of_an_image_is_not():
    found = measured([summary_of({"power_w": 5.0}, {"power_w": 5.0})], images=10, whole_trial=False)
    assert found["device/energy_j_per_image"] == 0.5
    assert "device/energy_j" not in found


def test_the_hosts_processors_are_counted_as_psutil_counts_them():
    reader = HostReader()
    psutil.cpu_percent()
    values = []
    while not values:
        sum(math.sqrt(number) for number in range(300_000))
        values = [value for name, value in reader.read().items() if name == "host_cpu_pct"]
    assert 0 <= values[0] <= 100
    memory = psutil.virtual_memory()
    assert reader.read()["host_memory_pct"] == pytest.approx(memory.percent, abs=5)


def test_series_have_mlflows_names_and_the_node_where_there_are_several():
    assert set(shown_series({"alpha": ["gpu_0", "host"]}).values()) == {
        "system/gpu_0_utilization_percentage",
        "system/gpu_0_power_usage_watts",
        "system/gpu_0_memory_usage_percentage",
        "system/cpu_utilization_percentage",
        "system/system_memory_usage_percentage",
    }
    two = shown_series({"alpha": ["gpu_0", "host"], "beta host!": ["gpu_0", "host"]})
    assert two["beta host!", "gpu_0", "busy_pct"] == "system/beta_host_/gpu_0_utilization_percentage"
    assert two["alpha", "host", "host_cpu_pct"] == "system/alpha/cpu_utilization_percentage"


def test_mlflow_has_the_names_that_are_said_to_be_its_own():
    """MLflow's monitors name their metrics, the GPU monitor only on a machine with GPUs, so its source is read."""
    from importlib import resources

    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor

    cpu = CPUMonitor()
    cpu.collect_metrics()
    gpu = resources.files("mlflow.system_metrics.metrics").joinpath("gpu_monitor.py").read_text()
    for name in shown_series({"alpha": ["gpu_0", "host"]}).values():
        short = name.removeprefix("system/")
        assert short in cpu.metrics or f'f"{short.replace("gpu_0", "gpu_{i}")}"' in gpu


def test_a_large_machine_does_not_flood_its_run_with_series():
    names = shown_series({f"node-{index}": [*(f"gpu_{place}" for place in range(8)), "host"] for index in range(4)})
    assert len(names) == MOST_SERIES
