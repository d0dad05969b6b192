"""Copies of batches to the device, while it computes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from workloads.datasets.decoding import Packed


def on_device(batches: Iterable[Packed], device: torch.device) -> Iterator[Packed]:
    """Yield the batches on a device. On a GPU each is copied while the one before it is in use."""
    if device.type != "cuda":
        yield from batches
        return
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: Packed | None = None
    for batch in batches:
        with torch.cuda.stream(copies):
            # From pinned memory, so that the host does not wait.
            following = batch._replace(content=batch.content.to(device, non_blocking=True))
        if waiting is not None:
            yield waiting
        # Only work that is queued after this line waits for the copy.
        torch.cuda.current_stream(device).wait_stream(copies)
        # Otherwise the allocator could give the memory to the next copy too early.
        following.content.record_stream(torch.cuda.current_stream(device))
        waiting = following
    if waiting is not None:
        yield waiting
