"""The processes that decode: their start, their answers, and their end."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing import connection
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler
from torch.utils.data.dataloader import _BaseDataLoaderIter, _MultiProcessingDataLoaderIter

from workloads.datasets.decoding import Packed, Photos, Task
from workloads.datasets.room import (
    MEMORY_ADVICE,
    SHARED_MEMORY,
    DecoderError,
    check_descriptors,
    check_memory,
    raise_descriptors,
    shorten_socket_paths,
)

ANSWER_S = 600.0
"""Seconds without an answer of any decoder after which they are given up: a third of the usual stall timeout, so that
the reason of a failed attempt names them."""

IN_ADVANCE = 2
"""Batches that each decoder prepares in advance."""

END_S = 1.0
"""Seconds that an end which already shows in a socket may take to show in the process."""

SERVER_LOST = 255
"""Exit code that multiprocessing reports of a process whose fork server is gone."""


class Decoders:
    """Processes that decode one task after another. They start when needed; after any failure, new ones do."""

    def __init__(self, photos: Photos, count: int, device: torch.device) -> None:
        self._photos = photos
        self._count = min(count, len(os.sched_getaffinity(0)))
        self._device = device
        self._tasks = _Tasks()
        self._loader: _Loader | None = None
        self._checked_bytes = 0

    def batches(self, tasks: list[Task]) -> Iterator[Packed]:
        """Yield the batch of each task, in order. Only one iteration runs at a time: a new one ends the one before.

        Raises:
            DecoderError: the decoders cannot start, one has ended, or none answers.
        """
        answers: Iterator[Packed] | None = None
        self._tasks.tasks = tasks
        while True:
            try:
                if answers is None:
                    answers = iter(self._started(tasks))
                batch = next(answers)
                if batch.fault:
                    raise DecoderError(
                        f"a decoder cannot share a batch: {batch.fault}; if {SHARED_MEMORY} is full, {MEMORY_ADVICE}"
                    )
            except StopIteration:
                return
            except (Exception, KeyboardInterrupt) as error:
                reason = self._drop(error)
                if reason:
                    raise DecoderError(reason) from error
                raise
            yield batch
            assert self._tasks.tasks is tasks, "another iteration has begun"

    def check_room(self, tasks: list[Task]) -> None:
        """Check that shared memory has room for the batches that are ready at once, unless it had room for more.

        Raises:
            DecoderError: it has not.
        """
        if self._count and tasks:
            largest = max(self._photos.batch_bytes(task) for task in tasks)
            batches = min(IN_ADVANCE * self._count + 1, len(tasks))
            if batches * largest > self._checked_bytes:
                check_memory(largest, batches)
                self._checked_bytes = batches * largest

    def _started(self, tasks: list[Task]) -> _Loader:
        """Return the loader, whose decoders start with its first iteration."""
        self.check_room(tasks)
        if self._loader is None:
            if self._count:
                check_descriptors(self._count)
                shorten_socket_paths()
            self._loader = _loader(self._photos, self._tasks, self._count, self._device)
        return self._loader

    def _drop(self, error: BaseException) -> str:
        """End the decoders, so that the next iteration starts new ones. Return which had ended by itself, if any."""
        loader, self._loader, self._checked_bytes = self._loader, None, 0
        workers = [] if loader is None or loader.running is None else loader.running.decoders
        if workers and isinstance(error, OSError | EOFError | RuntimeError) and not isinstance(error, DecoderError):
            connection.wait([worker.sentinel for worker in workers], timeout=END_S)
        ours = isinstance(error, DecoderError)  # and has the reason
        ended = [] if ours else [_end_of(worker) for worker in workers if not worker.is_alive()]
        if loader is not None and loader.running is not None:
            loader.running.shut()
        return f"{'; '.join(ended)}; the next attempt starts new decoders" if ended else ""


class _Tasks(Sampler[Task]):
    """The loader's next tasks."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)


class _Answers(_MultiProcessingDataLoaderIter):
    """Answers of decoders, which are given up in the end.

    Torch looks every few seconds whether each still lives; with its own `timeout` it would look once in that time.
    """

    kill: Callable[[], None]
    """Function that ends the decoders at once."""
    _silent_s = 0.0

    @property
    def decoders(self) -> list[Any]:
        return list(self._workers)

    def shut(self) -> None:
        """End the decoders, and close what led to them, now and not when the last reference to them goes."""
        self.kill()
        atexit.unregister(self.kill)
        self._shutdown_workers()

    def _try_get_data(self, timeout: float = 5.0) -> tuple[bool, Any]:
        timeout = min(timeout, ANSWER_S)
        # A decoder that stops between a batch and its descriptor leaves us reading a socket without a deadline.
        gave_up = threading.Event()

        def give_up() -> None:
            gave_up.set()
            self.kill()

        watchdog = threading.Timer(ANSWER_S, give_up)
        watchdog.daemon = True
        watchdog.start()
        try:
            answered, data = super()._try_get_data(timeout)  # type: ignore[no-untyped-call]
        except (OSError, EOFError, RuntimeError) as error:  # torch's own, of a decoder that is gone, is the last
            if not gave_up.is_set():
                raise
            raise self._given_up(ANSWER_S) from error
        finally:
            watchdog.cancel()
        self._silent_s = 0.0 if answered else self._silent_s + timeout
        if self._silent_s >= ANSWER_S:
            raise self._given_up(self._silent_s)
        return answered, data

    def _given_up(self, silent_s: float) -> DecoderError:
        pids = ", ".join(str(worker.pid) for worker in self._workers)
        return DecoderError(
            f"no decoder (processes {pids}) has answered for {silent_s:g} s; look whether the storage of the "
            "photographs answers; the next attempt starts new decoders"
        )


class _Loader(DataLoader[Packed]):
    """A loader that knows its running decoders."""

    running: _Answers | None = None

    def _get_iterator(self) -> _BaseDataLoaderIter:
        if not self.num_workers:
            return super()._get_iterator()
        self.running = _Answers(self)
        # At its exit a process waits for its children, and one that hangs obeys no request to end.
        self.running.kill = partial(_kill, self.running.decoders)
        atexit.register(self.running.kill)
        return self.running


def _loader(photos: Photos, tasks: _Tasks, decoders: int, device: torch.device) -> _Loader:
    """Make a loader whose processes decode whole batches and live as long as it. Their order affects no result."""
    context = None
    if decoders:
        # Not fork: it copies a process with all the locks that its threads hold at that moment.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([Photos.__module__])
    return _Loader(
        photos,
        sampler=tasks,
        batch_size=None,
        num_workers=decoders,
        collate_fn=_as_it_is,
        pin_memory=device.type == "cuda",
        multiprocessing_context=context,
        persistent_workers=decoders > 0,
        prefetch_factor=IN_ADVANCE if decoders else None,
        worker_init_fn=_begin,
        generator=torch.Generator(),  # otherwise the loader would use the networks' generator
    )


def _kill(workers: list[Any]) -> None:
    for worker in workers:
        with contextlib.suppress(OSError, ValueError):
            worker.kill()


def _as_it_is(batch: Any) -> Any:
    return batch


def _begin(decoder: int) -> None:  # noqa: ARG001  # torch passes it
    """Prepare a decoder."""
    raise_descriptors()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this decoder when the process that started it ends, however that does.

    Torch looks at the fork server instead, and the fork server lives until its last child has ended.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _end_of(worker: Any) -> str:
    """Return in words how a decoder ended."""
    code = worker.exitcode
    if code == SERVER_LOST:
        return f"a decoder (process {worker.pid}) was lost with the fork server that started it"
    if code is None or code >= 0:
        return f"a decoder (process {worker.pid}) ended by itself, with exit code {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    hint = ", as the kernel does when memory runs out" if -code == signal.SIGKILL else ""
    hint = f", as it happens when {SHARED_MEMORY} is full" if -code == signal.SIGBUS else hint
    return f"a decoder (process {worker.pid}) was ended by {name}{hint}"
