"""`harness bench` without Ray: its measurements, the agreement of ranks, and its record in MLflow."""

import json
import os

import psutil
import pytest
import torch
import torch.distributed as dist

import harness.engine.bench as machine
import harness.measure.storage_rates as storage_rates
import harness.tracking.bench as tracking_bench
from harness.errors import Infeasible, StorageError
from harness.launch import bench
from harness.measure.repeats import Repeats
from harness.schema import BENCH
from harness.tracking.memory import MemoryTracker

CPU = torch.device("cpu")
ALONE = {
    "bench/matmul_fp32_flops_per_s",
    "bench/matmul_bf16_flops_per_s",
    "bench/copy_bytes_per_s",
    "bench/disk_write_bytes_per_s",
    "bench/disk_read_bytes_per_s",
    "bench/decode_images_per_s",
}
TOGETHER = {"bench/all_reduce_bytes_per_s", "bench/all_reduce_latency_us"}


@pytest.fixture
def quick(monkeypatch):
    """Replace the measurements by ones that take no time, in this process."""
    fixed = Repeats(values=(2.0, 6.0, 4.0))
    monkeypatch.setattr(machine, "precisions", lambda _device: ("fp32", "bf16"))
    monkeypatch.setattr(machine, "matmul_flops_per_s", lambda *_args, **_settings: fixed)
    monkeypatch.setattr(machine, "copy_bytes_per_s", lambda *_args, **_settings: fixed)
    monkeypatch.setattr(machine, "decode_images_per_s", lambda **_settings: fixed)
    monkeypatch.setattr(machine, "disk_rates", lambda _folder, **_settings: (fixed, fixed))


def options(tmp_path, **settings):
    defaults = {
        "workers": 1,
        "launcher": "inline",
        "address": None,
        "placement": "pack",
        "device": "cpu",
        "cpus_per_worker": 1,
        "repeats": 2,
        "storage": tmp_path,
        "tracking_uri": None,
        "experiment": "bench",
    }
    return bench.BenchOptions(**{**defaults, **settings})


def test_one_worker_measures_all_but_all_reduce(tmp_path, quick):
    found = bench.run_bench(options(tmp_path))
    assert {each["key"] for each in found["measurements"]} == ALONE
    assert {(each["n"], each["median"], each["low"], each["high"]) for each in found["measurements"]} == {(3, 4, 2, 6)}
    assert found["tags"]["group.world_size"] == "1"
    assert json.loads(json.dumps(found)) == found
    assert list(tmp_path.iterdir()) == []


def test_two_workers_measure_all_reduce_too_and_their_values_are_put_together(tmp_path):
    """Nothing is replaced here: two processes over gloo each take every measurement twice."""
    found = bench.run_bench(options(tmp_path, workers=2))
    here = {f"bench/matmul_{precision}_flops_per_s" for precision in machine.precisions(CPU)}
    others = {key for key in ALONE if "matmul" not in key}
    assert {each["key"] for each in found["measurements"]} == here | others | TOGETHER
    count = {each["key"]: each["n"] for each in found["measurements"]}
    assert count["bench/matmul_fp32_flops_per_s"] == 4
    assert count["bench/disk_read_bytes_per_s"] == count["bench/all_reduce_latency_us"] == 2
    assert all(each["low"] > 0 for each in found["measurements"])
    assert found["tags"]["group.world_size"] == "2"
    assert list(tmp_path.iterdir()) == []


def test_workers_without_ray_meet_on_loopback(tmp_path, monkeypatch):
    """Otherwise they would use the address to which the machine's name resolves."""
    interfaces = psutil.net_if_addrs()
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    bound = []
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: bound.append(os.environ["GLOO_SOCKET_IFNAME"]))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    monkeypatch.setattr(bench, "bench_worker", lambda *_, **__: None)
    config = machine.BenchConfig(
        folder=tmp_path, workers=2, device="cpu", cpus_per_worker=1, repeats=1, launcher="inline"
    )
    bench._process(config, 1)
    assert "127.0.0.1" in {each.address for each in interfaces[bound[0]]}


def test_a_bench_is_a_run_of_its_own_kind_with_middle_ends_and_number(tmp_path, quick, monkeypatch):
    tracker = MemoryTracker()
    monkeypatch.setattr(tracking_bench, "connect", lambda _uri: tracker)
    monkeypatch.setattr("harness.tracking.prepare.prepare", lambda *_args: None)
    found = bench.run_bench(options(tmp_path, tracking_uri="http://tracking.example"))
    [(run_id, run)] = tracker.runs.items()
    assert found["run_id"] == run_id
    assert (run.record.tags["harness.kind"], run.record.status) == ("bench", "FINISHED")
    assert run.record.name.startswith("1 x ")
    written = {point.key: point.value for point in run.points}
    assert {key: value for key, value in written.items() if key.startswith("bench/copy")} == {
        "bench/copy_bytes_per_s": 4,
        "bench/copy_bytes_per_s_low": 2,
        "bench/copy_bytes_per_s_high": 6,
        "bench/copy_bytes_per_s_n": 3,
    }
    assert len(BENCH) * 4 < 60
    assert json.loads(run.artifacts["bench.json"])["measurements"] == found["measurements"]


def test_a_storage_that_cannot_be_written_is_named(tmp_path, quick):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot be used.*choose another with --storage"):
        bench.run_bench(options(tmp_path / "file"))


def test_a_disk_that_fails_in_the_middle_leaves_nothing_behind(tmp_path, quick, monkeypatch):
    def full(_folder, **_settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(machine, "disk_rates", full)
    with pytest.raises(StorageError, match="No space left on device"):
        bench.run_bench(options(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_more_workers_than_cores_is_infeasible_before_any_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with pytest.raises(Infeasible, match="--workers 3 with 1 cores each are more than this machine's 2; lower"):
        bench.run_bench(options(tmp_path, workers=3))


def test_more_gpus_than_there_are_is_infeasible(tmp_path):
    with pytest.raises(Infeasible, match="--workers 64 want a GPU each"):
        bench.run_bench(options(tmp_path, workers=64, device="cuda"))


def test_the_disk_gets_as_many_bytes_as_its_rate_says(tmp_path, monkeypatch):
    """The clock ticks once per call: a file is written in one second, and read in one."""
    ticks = iter(float(tick) for tick in range(100))
    sizes = []
    monkeypatch.setattr(storage_rates.os, "fsync", lambda handle: sizes.append(storage_rates.os.fstat(handle).st_size))
    written, read = storage_rates.disk_rates(tmp_path, n=2, size_bytes=5_000_001, clock=lambda: next(ticks))
    assert sizes == [5_000_001, 5_000_001]
    assert written.values == read.values == (5_000_001.0, 5_000_001.0)


def test_the_photograph_has_the_size_that_imagenets_have_in_the_mean():
    decoded = storage_rates.photos.decode(storage_rates._photograph())
    assert decoded.shape == (3, 375, 500)
    assert decoded.float().std() > 20


def test_bus_bandwidth_is_what_each_link_carries(monkeypatch):
    """NCCL's tests define it: of 100 bytes over 4 ranks in 1 s, 2 * 3/4 * 100 bytes cross each link."""
    import harness.measure.collectives as collectives

    monkeypatch.setattr(collectives, "_seconds_a_call", lambda *_args, **_settings: Repeats(values=(1.0, 2.0)))
    found = collectives.all_reduce_bytes_per_s(CPU, 4, n=2, block_s=0.1, size_bytes=100)
    assert found.values == (150, 75)
    assert collectives.all_reduce_latency_us(CPU, n=2, block_s=0.1).values == (1e6, 2e6)
