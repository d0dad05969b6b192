"""Speed of writing and reading files, and of decoding photographs."""

from __future__ import annotations

import io
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from harness.measure.repeats import Repeats, rates
from workloads.datasets import photos

FILE_BYTES = 128 * 2**20
CHUNK_BYTES = 4 * 2**20
PHOTO_WIDTH, PHOTO_HEIGHT, QUALITY = 500, 375, 90
"""Pixels and JPEG quality of a photograph, as in ImageNet on average."""
CROP = 224


def disk_rates(
    folder: Path, *, n: int, size_bytes: int = FILE_BYTES, clock: Callable[[], float] = time.perf_counter
) -> tuple[Repeats, Repeats]:
    """Return the bytes per second of writing a file to the disk, and of reading it back without the host's cache.

    The storage behind the folder may have caches of its own: a network's server, a disk's controller.

    Raises:
        OSError: the folder cannot be written, or is full.
    """
    content = np.random.default_rng(0).bytes(CHUNK_BYTES)  # random, since some file systems compress
    written, read = [], []
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=folder) as own:
        file = Path(own, "file")
        for _ in range(n):
            written.append(size_bytes / _write(file, content, size_bytes, clock))
            read.append(size_bytes / _read(file, clock))
    return Repeats(values=tuple(written)), Repeats(values=tuple(read))


def decode_images_per_s(*, n: int, block_s: float) -> Repeats:
    """Return the JPEG photographs of 500x375 pixels per second that one thread decodes to uint8 tensors.

    They are decoded as the data sets do it.
    """
    content = _photograph()
    return rates(lambda: photos.decode(content), amount=1.0, n=n, block_s=block_s)


def _write(file: Path, content: bytes, size_bytes: int, clock: Callable[[], float]) -> float:
    began = clock()
    with file.open("wb", buffering=0) as target:
        for start in range(0, size_bytes, len(content)):
            target.write(content[: size_bytes - start])
        os.fsync(target.fileno())
    return clock() - began


def _read(file: Path, clock: Callable[[], float]) -> float:
    with file.open("rb", buffering=0) as source:
        os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        began = clock()
        while source.read(CHUNK_BYTES):
            pass
    return clock() - began


def _photograph() -> bytes:
    """Return a JPEG of smooth shapes with fine grain: slower to decode than one colour, and faster than noise."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((PHOTO_WIDTH, PHOTO_HEIGHT), Image.Resampling.BICUBIC), dtype=np.int16)
    grainy = smooth + rng.integers(-12, 13, smooth.shape, dtype=np.int16)
    content = io.BytesIO()
    Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=QUALITY)
    return content.getvalue()
