"""Handling of Ctrl-C, SIGTERM and a lost terminal: a request that loops can check, and a sure end for who insists."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

import psutil

from harness.errors import ExitCode, HarnessError, Stopped
from harness.waits import say_on_stderr

SIGNALS = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.STOPPED,
    signal.SIGHUP: ExitCode.STOPPED,  # the terminal or its connection is gone
}

REPEAT_S = 1.0
"""Seconds in which a second signal counts as the first one: a terminal and an agent may both forward a Ctrl-C."""
SHOW_CURSOR = b"\x1b[?25h"
"""Code that undoes the hiding of the cursor by a live display."""


def end_everything(code: int) -> None:
    """End this process and all that it started, at once."""
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    with contextlib.suppress(OSError):
        if os.isatty(2) and select.select([], [2], [], 0)[1]:  # a terminal that was halted would take nothing
            os.write(2, SHOW_CURSOR)
    os._exit(code)


class StopSignal:
    """While entered, a first signal asks for an end, and another one, a second or more later, ends everything at once.

    The first one ends a command that has not begun to run trials: it raises KeyboardInterrupt or Stopped. Within
    `graceful` it only sets the request. The second one is seen by a thread, also while a library blocks the main one.
    A SIGHUP that was ignored when the command began, as under `nohup`, stays ignored. A shell's background jobs begin
    with SIGINT ignored, and heed it all the same. Outside the main thread this does nothing: only that has signals.

    Args:
        end: called with the exit code for the second signal.
    """

    def __init__(self, end: Callable[[int], None] = end_everything) -> None:
        self.exit_code: ExitCode | None = None
        self._end = end
        self._event = threading.Event()
        self._before: dict[int, object] = {}
        self._is_graceful = self._is_handled = False
        self._watch: _Watch | None = None

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            self._watch = _Watch(self._wake, self._end)
            self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._watch is not None:
            self._watch.close()
        if self.exit_code is None or error is None or isinstance(error, HarnessError):
            return
        # Libraries make errors of their own of an interrupt, and Ray's handler exits with the number of the signal.
        if self.exit_code is ExitCode.INTERRUPTED:
            raise KeyboardInterrupt from error
        raise Stopped("stopped while no trial was running") from error

    def listen(self) -> None:
        """Install the handlers, again if a library replaced them meanwhile (`ray.init` does)."""
        if self._watch is None:
            return
        for number in SIGNALS:
            before = self._before.get(number, signal.getsignal(number))
            if number == signal.SIGHUP and before is signal.SIG_IGN:
                continue
            before = signal.signal(number, self._on_signal)
            self._before.setdefault(number, before)

    @contextlib.contextmanager
    def graceful(self) -> Iterator[StopSignal]:
        """Have signals only set the request, for as long as the context lasts."""
        self._is_graceful = True
        try:
            yield self
        finally:
            self._is_graceful = False

    def is_set(self) -> bool:
        """Whether a stop was requested."""
        return self.exit_code is not None

    def wait(self, timeout_s: float) -> bool:
        """Sleep until the timeout or a signal; return whether a stop was requested."""
        return self._event.wait(timeout_s) or self.is_set()

    def _request(self, number: int) -> None:
        if self.exit_code is None:
            self.exit_code = SIGNALS[signal.Signals(number)]

    def _wake(self, number: int) -> None:
        """Request the stop and end the wait. Only the watch does, as a handler may interrupt `wait` within its lock."""
        self._request(number)
        self._event.set()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        is_echo, self._is_handled = self._is_handled, True
        if is_echo:
            return
        self._request(number)
        if not self._is_graceful:
            raise KeyboardInterrupt  # for every signal: libraries know it, and `except Exception` lets it pass


class _Watch:
    """A thread that sees each signal when it arrives. Python's own handlers wait until the main thread runs Python."""

    def __init__(self, wake: Callable[[int], None], end: Callable[[int], None]) -> None:
        self._wake, self._end = wake, end
        self._read, self._write = socket.socketpair()
        self._write.setblocking(False)
        self._before = signal.set_wakeup_fd(self._write.fileno(), warn_on_full_buffer=False)
        self._thread = threading.Thread(target=self._run, name="signals", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, and leave signals to whoever had them before."""
        signal.set_wakeup_fd(self._before)
        self._write.close()
        self._thread.join()
        self._read.close()

    def _run(self) -> None:
        first_s: float | None = None
        while numbers := self._read.recv(64):
            for number in numbers:
                if number not in SIGNALS or signal.getsignal(number) is signal.SIG_IGN:
                    continue
                if first_s is None:
                    first_s = time.monotonic()
                    self._wake(number)
                    # In a thread, because a terminal that was halted, or a pipe that nobody empties, blocks it.
                    text = "Stopping. Ctrl-C again ends everything at once."
                    threading.Thread(target=say_on_stderr, args=(text,), daemon=True).start()
                elif time.monotonic() - first_s >= REPEAT_S:
                    self._end(SIGNALS[signal.Signals(number)])
