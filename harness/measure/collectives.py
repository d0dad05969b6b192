"""All-reduce between workers: bytes per second, and the time of the smallest message."""

from __future__ import annotations

import time

import torch
import torch.distributed as dist

from harness.measure.repeats import Repeats, synchronizer, timed_calls

BANDWIDTH_BYTES_CPU, BANDWIDTH_BYTES_CUDA = 16 * 2**20, 256 * 2**20
"""Message sizes in bytes. For comparison, the gradients of a ResNet-50 are 102 MB."""
SMALLEST_BYTES = 4
MOST_CALLS = 100_000


def all_reduce_bytes_per_s(
    device: torch.device, world_size: int, *, n: int, block_s: float, size_bytes: int | None = None
) -> Repeats:
    """Return the bytes per second on each worker's link: NCCL's bus bandwidth, size / time * 2 (w - 1) / w.

    It can be compared with the speed of the hardware for any number of workers. All ranks take part.
    """
    size = size_bytes or (BANDWIDTH_BYTES_CUDA if device.type == "cuda" else BANDWIDTH_BYTES_CPU)
    seconds = _seconds_a_call(device, size, n=n, block_s=block_s)
    carried = size * 2 * (world_size - 1) / world_size
    return Repeats(values=tuple(carried / each for each in seconds.values))


def all_reduce_latency_us(device: torch.device, *, n: int, block_s: float) -> Repeats:
    """Return the microseconds of an all-reduce of one number. All ranks take part."""
    return _seconds_a_call(device, SMALLEST_BYTES, n=n, block_s=block_s).times(1e6)


def _seconds_a_call(device: torch.device, size_bytes: int, *, n: int, block_s: float) -> Repeats:
    """Time each call by this rank's clock.

    Every rank makes as many calls as the slowest rank estimates. With different numbers, some ranks would wait for
    ever.
    """
    values = torch.zeros(size_bytes // 4, device=device)

    def work() -> None:
        dist.all_reduce(values)

    synchronize = synchronizer(device)
    for _ in range(3):  # the first call makes the connections
        work()
    synchronize()
    dist.barrier()
    calls = _agreed(block_s / max(timed_calls(work, 1, synchronize, time.perf_counter), 1e-9), device)
    return Repeats(values=tuple(timed_calls(work, calls, synchronize, time.perf_counter) / calls for _ in range(n)))


def _agreed(calls: float, device: torch.device) -> int:
    vote = torch.tensor([max(1.0, min(calls, MOST_CALLS))], dtype=torch.float64, device=device)
    dist.all_reduce(vote, op=dist.ReduceOp.MIN)
    return int(vote.item())
