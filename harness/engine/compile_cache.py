"""The cache of `torch.compile`. A worker that died may have left an incomplete library in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from harness.engine.context import TrialContext
from harness.trial import Trial


@contextmanager
def sound_compile_cache(trial: Trial, context: TrialContext) -> Iterator[None]:
    """Use an empty cache in any attempt after the first. First attempts, and trials without compilation, use the shared
    one.

    The inductor of torch 2.15 renames its Python code and its graphs into place. But its linker writes each C++ library
    directly to the final path, and a library whose file exists is never built again. A truncated library ends every
    process that loads it, with SIGBUS or "file too short", attempt after attempt.
    """
    if context.attempt == 1 or not trial.recipe.compile:
        yield
        return
    from torch._inductor.utils import fresh_cache  # loads the compiler

    torch.compiler.reset()
    with tempfile.TemporaryDirectory(prefix="harness-compiled-") as folder, fresh_cache(dir=folder, delete=False):
        yield
