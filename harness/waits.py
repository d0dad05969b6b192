"""Words about a wait: what a command waits for, since when, and what the user can do."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

FIRST_S = 10.0
"""Seconds of silence before the first line."""
AGAIN_S = 60.0
"""Seconds from the first line to the second; each later pause is twice as long, at most `LONGEST_S`."""
LONGEST_S = 600.0


def say_on_stderr(text: str) -> None:
    """Print a line on stderr. A terminal or a pipe that is gone is no reason to stop."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


class Pauses:
    """The moments at which a wait is spoken of: after some seconds, then ever more rarely.

    Args:
        clock: returns seconds.
        first_s: seconds before the first moment.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, first_s: float | None = None) -> None:
        self._clock, self._first_s = clock, first_s
        self.restart()

    def restart(self) -> None:
        """Begin a new wait."""
        self.began_s = self._clock()
        self.pause_s = FIRST_S if self._first_s is None else self._first_s
        self._next_s = self.began_s + self.pause_s
        self._has_spoken = False

    def is_due(self) -> bool:
        """Return whether it is time to speak; then the next time is later."""
        if self._clock() < self._next_s:
            return False
        self.pause_s = min(2 * self.pause_s, LONGEST_S) if self._has_spoken else AGAIN_S
        self._has_spoken = True
        self._next_s = self._clock() + self.pause_s
        return True


@contextlib.contextmanager
def waiting_for(what: str, hint: str = "", *, say: Callable[[str], None] = say_on_stderr) -> Iterator[None]:
    """Say what this process waits for if it takes long, and again while it lasts.

    The lines come from a thread, so that they also come while a library blocks.

    Args:
        what: what it waits for, as in `a local Ray to start`.
        hint: what the user can do, as a sentence.
        say: takes each line.
    """
    done = threading.Event()

    def tell() -> None:
        pauses = Pauses()
        while not done.wait(pauses.pause_s):
            if pauses.is_due():
                elapsed_s = time.monotonic() - pauses.began_s
                say(" ".join(filter(None, [f"Waiting for {what} for {elapsed_s:.0f} s.", hint])))

    thread = threading.Thread(target=tell, name="waits", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
