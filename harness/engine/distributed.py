"""The few collective operations that a trial needs. With one worker each of them returns its input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from inspect import signature
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")

# Newer versions of torch rename the option, and warn about the old name.
_NEW_NAME = "forward_sync_buffers"
_IS_RENAMED = _NEW_NAME in signature(DistributedDataParallel).parameters
_NO_BUFFERS_EACH_STEP: dict[str, Any] = {_NEW_NAME if _IS_RENAMED else "broadcast_buffers": False}


@contextmanager
def process_group(device: torch.device, *, timeout_s: float = 600.0) -> Iterator[tuple[int, int]]:
    """Keep a process group up while the block runs, in a process that `torchrun` started. Yield rank and world size."""
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(seconds=timeout_s))
    try:
        yield dist.get_rank(), dist.get_world_size()
    finally:
        dist.destroy_process_group()


def data_parallel(module: nn.Module, device: torch.device) -> DistributedDataParallel:
    """Return the module with its gradients averaged over all ranks.

    Batch statistics stay local to each rank. Running statistics take no part in training, so they are sent once before
    each evaluation (`share_buffers`) and not before each step.
    """
    return DistributedDataParallel(
        module,
        device_ids=[device] if device.type == "cuda" else None,
        gradient_as_bucket_view=True,
        **_NO_BUFFERS_EACH_STEP,
    )


def share_buffers(module: nn.Module, world_size: int) -> None:
    """Give every rank the running statistics of rank 0, in one message."""
    buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
    if world_size == 1 or not buffers:
        return
    flat = torch.cat([buffer.flatten() for buffer in buffers])
    dist.broadcast(flat, 0)
    parts = torch.split(flat, [buffer.numel() for buffer in buffers])
    for buffer, values in zip(buffers, parts, strict=True):
        buffer.copy_(values.view_as(buffer))


def summed(values: Tensor, world_size: int) -> Tensor:
    """Sum values over all ranks, on every rank and in place."""
    if world_size > 1:
        dist.all_reduce(values)
    return values


def gathered(values: Tensor, world_size: int, device: torch.device) -> Tensor:
    """Return every rank's values, on every rank's host: [world_size, *values.shape]."""
    if world_size == 1:
        return values.cpu()[None]
    rows = [torch.empty_like(values, device=device) for _ in range(world_size)]
    dist.all_gather(rows, values.to(device).contiguous())
    return torch.stack(rows).cpu()


def any_rank(flags: list[bool], world_size: int, device: torch.device) -> list[bool]:
    """Return for each flag whether it is set on some rank. The result is the same on every rank."""
    return [bool(vote) for vote in highest([*map(int, flags)], world_size, device)]


def highest(values: list[int], world_size: int, device: torch.device) -> list[int]:
    """Return for each value the highest of all ranks. The result is the same on every rank. A GPU waits for it."""
    if world_size == 1:
        return values
    votes = torch.tensor(values, dtype=torch.int64, device=device)
    dist.all_reduce(votes, op=dist.ReduceOp.MAX)
    found: list[int] = votes.tolist()
    return found


def all_objects(value: T, world_size: int) -> list[T]:
    """Return every rank's value, on every rank; values are pickled on the way."""
    if world_size == 1:
        return [value]
    values: list[T | None] = [None] * world_size
    dist.all_gather_object(values, value)
    return values  # type: ignore[return-value]  # every element is set


def from_rank_0(value: T, world_size: int) -> T:
    """Return rank 0's value, on every rank; it is pickled on the way."""
    if world_size == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]
