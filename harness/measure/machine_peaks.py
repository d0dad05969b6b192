"""Peaks that a device really reaches: matrix products in each precision, and copies of its memory.

Published peaks are for a chip at its highest clock. Measured ones are for this chip, in this machine, with this build
of torch. They exist for every device, so that a share of the peak can be given on a CPU too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from harness.measure.repeats import Repeats, rates, synchronizer

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Precision -> type in which the operands are stored."""

REPEATS = 7
BLOCK_S = 0.1
LONG_ENOUGH_S = 0.01
"""Seconds of a product that is long enough to hide the cost of its launch."""
SMALLEST, LARGEST_CPU, LARGEST_CUDA = 256, 4096, 16384
"""Sides of the square operands. At 16384, each operand takes 0.5 GiB in 16 bits."""
COPY_BYTES_CPU, COPY_BYTES_CUDA = 256 * 2**20, 2**30
"""Bytes of a copy: larger than caches are, so that memory itself is measured."""


def precisions(device: torch.device) -> tuple[str, ...]:
    """Return the precisions that a device computes in.

    A CPU without instructions for bf16 emulates it, at a hundredth of the speed. Its matrix products are then slower
    than a network's other layers, so their speed is no peak.
    """
    if device.type == "cuda":
        return ("fp32", "tf32", "bf16", "fp16")
    return ("fp32", "bf16") if _cpu_has_bf16() else ("fp32",)


def _cpu_has_bf16() -> bool:
    """Ask oneDNN, which computes the products. torch has no public function for this."""
    mkldnn: Any = torch.backends.mkldnn
    return mkldnn.is_available() and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001


def matmul_flops_per_s(device: torch.device, precision: str, *, n: int = REPEATS, block_s: float = BLOCK_S) -> Repeats:
    """Return the FLOPs per second of square matrix products, with 2 FLOPs per multiply-accumulate.

    The operands grow until one product takes long enough, or until they take as much memory as is reasonable.

    Args:
        device: one GPU, or the CPU with as many threads as torch has now.
        precision: a key of `DTYPES`.
        n: number of blocks of products.
        block_s: seconds of a block.
    """
    synchronize = synchronizer(device)
    with _matmul_mode(precision):
        side, largest = SMALLEST, LARGEST_CUDA if device.type == "cuda" else LARGEST_CPU
        while (product := _product(side, device, precision))[1] < LONG_ENOUGH_S and side < largest:
            side *= 2
        return rates(product[0], amount=2.0 * side**3, n=n, block_s=block_s, synchronize=synchronize)


def copy_bytes_per_s(
    device: torch.device, *, n: int = REPEATS, block_s: float = BLOCK_S, size_bytes: int | None = None
) -> Repeats:
    """Return the bytes per second of a copy within the device's memory; bytes read and bytes written both count."""
    size = size_bytes or (COPY_BYTES_CUDA if device.type == "cuda" else COPY_BYTES_CPU)
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return rates(
        lambda: target.copy_(source), amount=2.0 * size, n=n, block_s=block_s, synchronize=synchronizer(device)
    )


def _product(side: int, device: torch.device, precision: str) -> tuple[Callable[[], object], float]:
    """Return a product of two matrices with this side, and the seconds that one takes once warm."""
    generator = torch.Generator(device).manual_seed(0)
    # Not zeros: a GPU uses less power for them, and keeps a higher clock.
    first, second = (torch.randn(side, side, device=device, generator=generator) for _ in range(2))
    first, second = (operand.to(DTYPES[precision]) for operand in (first, second))
    work = partial(torch.mm, first, second, out=torch.empty_like(first))
    once = rates(work, amount=1.0, n=1, block_s=0.0, synchronize=synchronizer(device))
    return work, 1 / once.median


@contextmanager
def _matmul_mode(precision: str) -> Iterator[None]:
    """Make fp32 mean fp32 and tf32 mean tf32, whatever the process had set before."""
    before = torch.backends.cuda.matmul.fp32_precision
    torch.backends.cuda.matmul.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.fp32_precision = before
