"""A second attempt does not use files that a dead worker left in the cache of compiled code."""

import dataclasses
import os
from pathlib import Path

import pytest
import torch

from harness.engine.compile_cache import sound_compile_cache


@pytest.fixture
def shared_cache(tmp_path, monkeypatch):
    """Provide the cache that all processes of the node share, empty for this test."""
    folder = tmp_path / "shared"
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
    monkeypatch.setenv("TORCHINDUCTOR_COMPILE_THREADS", "1")
    yield folder
    torch.compiler.reset()


@pytest.fixture
def cache_of(recording, make_trial, shared_cache):
    """Return a function that gives the folder in which an attempt compiles."""

    def folder_of(attempt: int, **recipe) -> Path:
        context = dataclasses.replace(recording().context, attempt=attempt)
        with sound_compile_cache(make_trial(**recipe), context):
            return Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])

    return folder_of


def test_the_first_attempt_uses_what_others_compiled_and_a_later_one_a_folder_that_goes_with_it(cache_of, shared_cache):
    assert cache_of(1, compile=True) == shared_cache
    assert cache_of(2, compile=False) == shared_cache
    second, third = cache_of(2, compile=True), cache_of(3, compile=True)
    assert len({shared_cache, second, third}) == 3
    assert not second.exists()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(shared_cache)


def test_a_library_that_was_cut_short_does_not_stop_the_second_attempt(recording, make_trial, shared_cache):
    """A node that lost power leaves such a file: it is there, and empty."""
    numbers = torch.arange(64.0)

    def work(values: torch.Tensor) -> torch.Tensor:
        return (values.sin() * 2 + values.cos()).relu()

    torch.testing.assert_close(torch.compile(work)(numbers), work(numbers))
    libraries = list(shared_cache.rglob("*.so"))
    assert libraries
    for library in libraries:
        library.unlink()  # this process still has it open
        library.touch()
    context = dataclasses.replace(recording().context, attempt=2)
    with sound_compile_cache(make_trial(compile=True), context):
        torch.testing.assert_close(torch.compile(work)(numbers), work(numbers))
    assert all(library.stat().st_size == 0 for library in libraries)
