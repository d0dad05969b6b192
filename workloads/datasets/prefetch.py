"""Copies of batches to the device, while it computes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch

from workloads.datasets.decoding import Decoded


def on_device(batches: Iterable[Decoded], device: torch.device) -> Iterator[Decoded]:
    """Yield the batches on a device. On a GPU each is copied while the one before it is in use."""
    if device.type != "cuda":
        yield from batches
        return
    copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    waiting: Decoded | None = None
    for batch in batches:
        with torch.cuda.stream(copies):
            following = _moved(batch, device)
        if waiting is not None:
            yield waiting
        # Only work that is queued after this line waits for the copy.
        torch.cuda.current_stream(device).wait_stream(copies)
        waiting = _used_here(following, device)
    if waiting is not None:
        yield waiting


def _moved(batch: Decoded, device: torch.device) -> Decoded:
    """Copy a batch from pinned memory, so that the host does not wait."""
    pixels = [run.to(device, non_blocking=True) for run in batch.pixels]
    shifts, labels = (part.to(device, non_blocking=True) for part in (batch.shifts, batch.labels))
    return Decoded(pixels, shifts, labels, batch.corrupt)


def _used_here(batch: Decoded, device: torch.device) -> Decoded:
    """Tell the allocator that this stream uses the memory too. Otherwise the next copy could get it too early."""
    for part in (*batch.pixels, batch.shifts, batch.labels):
        part.record_stream(torch.cuda.current_stream(device))
    return batch
