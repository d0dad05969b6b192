"""Finding and reading devices through the unmodified nvidia-ml-py, over a simulated library."""

import threading

import pynvml
import pytest

from harness.measure import nvml
from harness.measure.nvml import GpuReader, NoDevice, identifier
from harness.measure.sampler import Source, Track

NOT_SUPPORTED, UNKNOWN = pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_UNKNOWN


@pytest.fixture
def started(fake_nvml):
    nvml.start()
    yield fake_nvml
    nvml.stop()


@pytest.fixture
def reader():
    """Return a function that makes readers; close them after the test."""
    made = []

    def make(wanted, **settings):
        made.append(GpuReader(nvml.find(wanted), **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.mark.parametrize(
    ("visible", "index", "uuid", "wanted"),
    [
        (None, 0, "1111", "GPU-1111"),  # CUDA counts the fastest first: only CUDA knows which one that is
        ("3,1", 1, "1111", "GPU-1111"),
        ("3,1", 1, None, "1"),
        (None, 2, None, "2"),
        ("GPU-aaaa,GPU-bb", 1, "1111", "GPU-bb"),
        ("MIG-cccc", 0, "1111", "MIG-cccc"),  # CUDA may give the UUID of the whole GPU here
        ("MIG-GPU-aaaa/3/0 , 1", 0, None, "MIG-GPU-aaaa/3/0"),
    ],
)
def test_a_device_is_named_by_what_does_not_shift(visible, index, uuid, wanted):
    assert identifier(visible=visible, cuda_index=index, cuda_uuid=uuid) == wanted


@pytest.mark.parametrize(("visible", "index"), [("", 0), ("0", 1), ("0,,1", 1)])
def test_a_device_that_is_not_visible_is_none_of_ours(visible, index):
    with pytest.raises(NoDevice, match=f"has no device {index}"):
        identifier(visible=visible, cuda_index=index, cuda_uuid=None)


def test_devices_are_found_by_uuid_whatever_their_order(started):
    started.gpu("GPU-aaaa-1", "NVIDIA A100-SXM4-80GB")
    whole = started.gpu("GPU-bbbb-2")
    started.slice(whole, "MIG-cccc-3", instance=5)
    started.slice(whole, "MIG-dddd-4", instance=6, compute_instance=1)
    for wanted, uuid in [
        ("GPU-bbbb-2", "GPU-bbbb-2"),
        ("GPU-bb", "GPU-bbbb-2"),
        ("0", "GPU-aaaa-1"),
        ("1", "GPU-bbbb-2"),
        ("MIG-dddd-4", "MIG-dddd-4"),
        ("MIG-GPU-bbbb-2/6/1", "MIG-dddd-4"),
    ]:
        assert nvml.find(wanted).uuid == uuid
    assert [device.uuid for device in nvml.every_device()] == ["GPU-aaaa-1", "GPU-bbbb-2", "MIG-cccc-3", "MIG-dddd-4"]


@pytest.mark.parametrize(
    ("wanted", "how_many"), [("GPU-xxxx", "no device"), ("GPU-aa", "2 devices"), ("7", "no device")]
)
def test_a_name_of_none_or_of_several_is_refused(started, wanted, how_many):
    started.gpu("GPU-aaaa-1")
    started.gpu("GPU-aaaa-2")
    with pytest.raises(NoDevice, match=f"NVML knows {how_many}"):
        nvml.find(wanted)


def test_without_a_driver_there_is_no_device(fake_nvml):
    fake_nvml.no_driver()
    with pytest.raises(NoDevice, match="NVML:"):
        nvml.start()


def test_a_library_that_cannot_be_released_holds_up_nobody(monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(nvml, "STOP_S", 0.05)
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: released.wait(60))
    nvml.stop()
    assert not released.is_set()
    released.set()


def test_a_lost_device_hides_no_other(started):
    started.gpu("GPU-aaaa").lose()
    started.gpu("GPU-bbbb")
    assert [device.uuid for device in nvml.every_device()] == ["GPU-bbbb"]


def test_every_metric_comes_in_its_unit(started, reader):
    gpu = started.gpu("GPU-aaaa")
    gpu.set(busy=73, memory_used=3 * 2**30, memory_total=12 * 2**30, power_mw=612_500, energy_mj=9_000_250)
    gpu.set(sm_clock=1980, memory_clock=3201, temperature=64, reasons=0x4, gpm_support=1)
    gpu.hold_memory(pid=17)
    reading = reader("GPU-aaaa", own_pids=[17])
    assert reading.read() == {
        "busy_pct": 73,
        "memory_gib": 3,
        "memory_pct": 25,
        "power_w": 612.5,
        "energy_counter_j": 9000.25,
        "sm_clock_mhz": 1980,
        "memory_clock_mhz": 3201,
        "temperature_c": 64,
        "slowdown_bits": 4,
        "other_processes": 0,
    }
    assert (reading.absent, reading.errors, reading.lost) == ({}, {}, None)


def test_activity_is_what_happened_between_two_readings(started, reader):
    """The simulated counters only grow: the difference of the last two is 20, and not 60 or minus 20."""
    gpu = started.gpu("GPU-aaaa")
    reading = reader("GPU-aaaa")
    for total in (0, 40, 60):
        gpu.set(gpm_support=1, gpm_sm=total, gpm_tensor=total / 2, gpm_dram=total / 4)
        values = reading.read()
    assert (values["sm_pct"], values["tensor_pct"], values["dram_pct"]) == (20, 10, 5)


def test_a_metric_that_is_not_supported_is_absent_and_listed_and_costs_no_other(started, reader):
    gpu = started.gpu("GPU-aaaa", "Tesla T4")
    gpu.set(power_mw=70_000)
    gpu.fail("energy_mj", NOT_SUPPORTED)
    reading = reader("GPU-aaaa")
    first = reading.read()
    gpu.fail("energy_mj", 0)
    assert first["power_w"] == 70
    assert "energy_counter_j" not in {**first, **reading.read()}  # not asked again
    assert reading.absent == dict.fromkeys(("energy_counter_j", "sm_pct", "tensor_pct", "dram_pct"), "Not Supported")


def test_one_activity_metric_that_is_missing_costs_no_other(started, reader):
    gpu = started.gpu("GPU-aaaa")
    gpu.set(gpm_support=1)
    gpu.fail("gpm_tensor", NOT_SUPPORTED)
    reading = reader("GPU-aaaa")
    reading.read()
    assert {"sm_pct", "dram_pct"} <= reading.read().keys()
    assert reading.absent == {"tensor_pct": "Not Supported"}


def test_an_error_in_the_middle_costs_one_reading_of_one_metric(started, reader):
    gpu = started.gpu("GPU-aaaa")
    reading = reader("GPU-aaaa")
    found = []
    for code in (0, UNKNOWN, 0):
        gpu.fail("temperature", code)
        found.append("temperature_c" in reading.read())
    assert found == [True, False, True]
    assert reading.errors == {"temperature_c": "Unknown Error"}
    assert "temperature_c" not in reading.absent


def test_a_library_that_stops_answering_leaves_no_energy_and_no_mean_and_says_why(started, reader):
    """A device of 300 W tells 60 s of an hour: 18,000 J of 1,080,000 J."""
    gpu = started.gpu("GPU-aaaa")
    gpu.set(power_mw=300_000, busy=90)
    track = Track(Source(name="gpu_0", device="GPU-aaaa", reader=reader("GPU-aaaa"), period_s=1.0), start_ms=0)
    for second in range(3601):
        gpu.set(energy_mj=300_000 * second)
        if second == 61:
            for field in ("power_mw", "energy_mj", "busy"):
                gpu.fail(field, UNKNOWN)
        track.add(second, 1000 * second, track.source.reader.read())
    summary = track.summary()
    assert (summary.energy_j, summary.timed_power_w) == (None, None)
    assert not {"power_w", "busy_pct"} & summary.means.keys()
    assert summary.partial["power_w"] == (
        "no result, since it was read for 60 of 3,600 s, last at 1970-01-01 00:01:00 UTC: Unknown Error"
    )
    assert "temperature_c" in summary.means  # which was read to the end


def test_a_device_that_vanishes_is_lost_and_not_asked_again(started, reader):
    gpu = started.gpu("GPU-aaaa")
    gpu.set(gpm_support=1)
    reading = reader("GPU-aaaa")
    assert reading.read()
    gpu.lose()
    assert reading.read() == {}
    assert reading.lost == "GPU is lost"
    assert reading.absent == {}


def test_a_slice_has_its_own_activity_and_no_power_of_its_neighbours(started, reader):
    whole = started.gpu("GPU-aaaa")
    whole.set(gpm_support=1, power_mw=500_000)
    piece = started.slice(whole, "MIG-bbbb", instance=3)
    started.slice(whole, "MIG-cccc", instance=4).set(gpm_sm=99)
    reading = reader("MIG-bbbb")
    reading.read()
    piece.set(gpm_sm=7)
    values = reading.read()
    assert values["sm_pct"] == 7
    assert not {"power_w", "energy_counter_j"} & values.keys()
    assert reading.absent == dict.fromkeys(("power_w", "energy_counter_j"), "not reported for a slice")


@pytest.mark.parametrize(
    ("on_device", "own", "others"),
    [
        ([], [17], 0),
        ([17, 18], [17, 18], 0),
        ([17, 40, 41], [17, 18], 2),
        ([90001], [17], 0),  # a container: NVML knows us by the host's number
        ([90001, 90002, 90003], [17, 18], 1),
    ],
)
def test_other_processes_are_those_that_the_trial_did_not_start(started, reader, on_device, own, others):
    gpu = started.gpu("GPU-aaaa")
    for pid in on_device:
        gpu.hold_memory(pid)
    assert reader("GPU-aaaa", own_pids=own).read()["other_processes"] == others
