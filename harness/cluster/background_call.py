"""Something that is done again and again, and may never return: in a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class BackgroundCall:
    """Does one thing at a time, in the background. Calls to Ray's head cannot be broken off, nor be given a deadline.

    Args:
        action: what is done each time.
        clock: in seconds.
    """

    def __init__(self, action: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._action, self._clock = action, clock
        self._thread: threading.Thread | None = None
        self._since_s: float | None = None
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Do it, unless it is still being done.

        Raises:
            BaseException: whatever the last time raised.
        """
        if self._since_s is not None:
            return
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        self._since_s = self._clock()
        self._thread = threading.Thread(target=self._run, name="background-call", daemon=True)
        self._thread.start()

    @property
    def elapsed_s(self) -> float:
        """For how long it has been done this time, 0 if it is not."""
        since_s = self._since_s
        return 0.0 if since_s is None else self._clock() - since_s

    def join(self, timeout_s: float) -> None:
        """Return when it is not being done, or after so long."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._action()
        except BaseException as error:  # noqa: BLE001  raised again where it can be handled
            self._failure = error
        finally:
            self._since_s = None
