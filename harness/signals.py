"""Handling of Ctrl-C and SIGTERM, as a flag that loops can check."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType

from harness.errors import ExitCode

SIGNALS = {signal.SIGINT: ExitCode.INTERRUPTED, signal.SIGTERM: ExitCode.STOPPED}

REPEAT_S = 1.0


class StopSignal:
    """While entered, the first signal asks for a clean stop; another, a second or more later, ends the process at once.

    A terminal and an agent above this process may both forward the same Ctrl-C, hence the delay of a second.
    """

    def __init__(self) -> None:
        self.exit_code: ExitCode | None = None
        self._event = threading.Event()
        self._before: dict[int, object] = {}
        self._asked_s = 0.0

    def __enter__(self) -> StopSignal:
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def listen(self) -> None:
        """Install the handlers, again if a library replaced them meanwhile (`ray.init` does)."""
        for number in SIGNALS:
            before = signal.signal(number, self._on_signal)
            self._before.setdefault(number, before)

    def is_set(self) -> bool:
        """Whether a stop was requested."""
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Sleep until the timeout or a signal; return whether a stop was requested."""
        return self._event.wait(timeout_s)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        code = SIGNALS[signal.Signals(number)]
        if self._event.is_set():
            if time.monotonic() - self._asked_s >= REPEAT_S:
                os._exit(code)
            return
        self._asked_s = time.monotonic()
        self.exit_code = code
        self._event.set()
