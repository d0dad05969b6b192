"""Where `torch.compile` keeps what it compiled. A worker that died may have left half a library there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from harness.engine.context import TrialContext
from harness.trial import Trial


@contextmanager
def sound_compile_cache(trial: Trial, context: TrialContext) -> Iterator[None]:
    """An empty cache for any attempt after the first; the common one for the first, and where nothing is compiled.

    torch 2.15's inductor renames its Python code and its graphs into place, but has the linker write each C++ library
    where it will lie, and never builds one anew whose file is there. One that was cut short ends every process that
    loads it, with SIGBUS or "file too short", attempt after attempt.
    """
    if context.attempt == 1 or not trial.recipe.compile:
        yield
        return
    from torch._inductor.utils import fresh_cache  # loads the compiler

    torch.compiler.reset()
    with tempfile.TemporaryDirectory(prefix="harness-compiled-") as folder, fresh_cache(dir=folder, delete=False):
        yield
