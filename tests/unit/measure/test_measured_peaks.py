"""Measured peaks of a machine: the way they are counted, and that a node measures each once."""

import errno
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from harness.measure import machine_peaks, peak_cache
from harness.measure.peak_cache import MeasuredPeak, measured_peak, share_of_measured_peak_pct
from harness.measure.repeats import Repeats, rates

CPU = torch.device("cpu")


class Machine:
    """Work of known length on a clock of its own."""

    def __init__(self, *seconds_a_call):
        self.now, self.calls, self.seconds = 0.0, 0, seconds_a_call

    def work(self):
        self.now += self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1

    def clock(self):
        return self.now


def test_a_rate_is_amount_over_time_and_the_first_call_is_not_timed():
    machine = Machine(100.0, 0.5)
    found = rates(machine.work, amount=6.0, n=3, block_s=2.0, clock=machine.clock)
    assert found.values == (12.0, 12.0, 12.0)
    assert machine.calls == 1 + 1 + 3 * 4


def test_work_that_outlasts_a_block_is_a_block():
    machine = Machine(5.0)
    assert rates(machine.work, amount=10.0, n=2, block_s=1.0, clock=machine.clock).values == (2.0, 2.0)
    assert machine.calls == 4


def test_queued_work_is_waited_for_within_the_block():
    """Each call queues 0.25 s of work at no cost; only `synchronize` takes time, as `synchronize` does on a GPU."""
    queued, now = [0.0], [0.0]

    def work():
        queued[0] += 0.25

    def synchronize():
        now[0] += queued[0]
        queued[0] = 0.0

    assert rates(work, amount=1.0, n=2, block_s=1.0, synchronize=synchronize, clock=lambda: now[0]).values == (4.0, 4.0)


def test_repeats_tell_their_number_middle_and_ends():
    repeats = Repeats(values=(3.0, 1.0, 10.0))
    assert (repeats.n, repeats.median, repeats.low, repeats.high) == (3, 3.0, 1.0, 10.0)
    assert repeats.times(2).values == (6.0, 2.0, 20.0)


@pytest.mark.parametrize(("has_bf16", "expected"), [(True, ("fp32", "bf16")), (False, ("fp32",))])
def test_a_cpu_that_emulates_bf16_has_no_peak_in_it(monkeypatch, has_bf16, expected):
    monkeypatch.setattr(machine_peaks, "_cpu_has_bf16", lambda: has_bf16)
    assert machine_peaks.precisions(CPU) == expected


def test_what_the_processor_says_of_itself_agrees():
    """Linux lists a processor's instructions: oneDNN needs those for bf16, or all the wide ones of AVX-512."""
    flags = set(Path("/proc/cpuinfo").read_text().split())
    own = flags & {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}
    has_bf16 = bool(own) or flags >= {"avx512bw", "avx512vl", "avx512dq"}
    assert machine_peaks.precisions(CPU) == (("fp32", "bf16") if has_bf16 else ("fp32",))


@pytest.mark.parametrize("precision", machine_peaks.precisions(CPU))
def test_a_cpu_has_a_peak_in_each_of_its_precisions(precision):
    """No machine of today multiplies at under 10 MFLOP/s or over 100 PFLOP/s."""
    found = machine_peaks.matmul_flops_per_s(CPU, precision, n=2, block_s=0.01)
    assert found.n == 2
    assert 1e7 < found.low <= found.high < 1e17


def test_a_copy_counts_what_is_read_and_what_is_written(monkeypatch):
    amounts = []
    monkeypatch.setattr(machine_peaks, "rates", lambda work, *, amount, **_: amounts.append(amount))
    machine_peaks.copy_bytes_per_s(CPU, size_bytes=1000)
    assert amounts == [2000.0]


def test_measuring_leaves_the_numeric_mode_as_it_was():
    before = torch.backends.cuda.matmul.fp32_precision
    machine_peaks.matmul_flops_per_s(CPU, "fp32", n=1, block_s=0.001)
    assert torch.backends.cuda.matmul.fp32_precision == before


@pytest.fixture
def measured(monkeypatch):
    """Replace the measurements by fixed figures, and return a list of the measurements made."""
    done = []

    def matmul(_device, precision):
        done.append((precision, torch.get_num_threads()))
        return Repeats(values=(4e9, 5e9, 3e9))

    monkeypatch.setattr(machine_peaks, "_cpu_has_bf16", lambda: True)
    monkeypatch.setattr(machine_peaks, "matmul_flops_per_s", matmul)
    monkeypatch.setattr(machine_peaks, "copy_bytes_per_s", lambda _device: Repeats(values=(1e9, 2e9, 1e9)))
    return done


def test_a_node_measures_each_device_and_precision_once(tmp_path, measured):
    first = measured_peak(CPU, "fp32", folder=tmp_path)
    assert measured_peak(CPU, "fp32", folder=tmp_path) == first
    measured_peak(CPU, "bf16", folder=tmp_path)
    assert [precision for precision, _ in measured] == ["fp32", "bf16"]
    assert (first.matmul_flops_per_s, first.matmul_low, first.copy_bytes_per_s, first.n) == (5e9, 3e9, 2e9, 3)


def test_another_number_of_threads_is_another_device(tmp_path, measured):
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 1):
            torch.set_num_threads(count)
            measured_peak(CPU, "fp32", folder=tmp_path)
    finally:
        torch.set_num_threads(threads)
    assert measured == [("fp32", 1), ("fp32", 2)]


@pytest.mark.parametrize("content", ["", "{}", '{"device": "another"}', "[1]", "\x00"])
def test_a_file_that_holds_something_else_is_measured_anew(tmp_path, measured, content):
    measured_peak(CPU, "fp32", folder=tmp_path)
    [file] = tmp_path.glob("*.json")
    file.write_text(content)
    measured_peak(CPU, "fp32", folder=tmp_path)
    assert len(measured) == 2
    assert json.loads(file.read_text())["matmul_flops_per_s"] == 5e9


def test_where_nothing_can_be_kept_it_is_measured_all_the_same(tmp_path, measured):
    (tmp_path / "file").write_text("")
    assert measured_peak(CPU, "fp32", folder=tmp_path / "file").n == 3


def test_where_nothing_can_be_locked_it_is_measured_all_the_same(tmp_path, measured, monkeypatch):
    def no_locks(_file, _how):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", no_locks)
    first, second = (measured_peak(CPU, "fp32", folder=tmp_path) for _ in range(2))
    assert (first, second, len(measured)) == (first, first, 2)


def test_a_folder_of_somebody_else_is_not_trusted(tmp_path, measured, monkeypatch):
    measured_peak(CPU, "fp32", folder=tmp_path)
    monkeypatch.setattr(peak_cache.os, "getuid", lambda: -1)
    measured_peak(CPU, "fp32", folder=tmp_path)
    assert len(measured) == 2


def test_those_who_come_while_one_measures_wait_and_take_its_result(tmp_path, measured):
    """Threads stand in for processes: a lock belongs to the open file, and each thread opens its own."""
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: measured_peak(CPU, "fp32", folder=tmp_path), range(3)))
    assert found == [found[0]] * 3
    assert len(measured) == 1


def test_a_precision_that_the_device_lacks_is_refused_with_those_it_has(monkeypatch):
    monkeypatch.setattr(machine_peaks, "_cpu_has_bf16", lambda: True)
    with pytest.raises(ValueError, match="no peak in tf32 on cpu: it computes in fp32, bf16"):
        measured_peak(CPU, "tf32")


PEAK = MeasuredPeak(
    device="cpu, 1 threads",
    precision="fp32",
    matmul_flops_per_s=50e9,
    matmul_low=40e9,
    copy_bytes_per_s=10e9,
    copy_low=9e9,
    n=7,
    torch_version="2",
)


def test_the_share_is_of_all_devices_together():
    assert share_of_measured_peak_pct(25e9, PEAK, devices=1) == 50
    assert share_of_measured_peak_pct(25e9, PEAK, devices=2) == 25
