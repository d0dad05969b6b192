"""An action that is repeated in a thread of its own, because one call of it may never return."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class BackgroundCall:
    """Runs an action in a thread, one call at a time. A call to Ray's head can be neither cancelled nor timed out.

    Args:
        action: the function to call.
        clock: returns seconds.
    """

    def __init__(self, action: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._action, self._clock = action, clock
        self._thread: threading.Thread | None = None
        self._since_s: float | None = None
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Start the action, unless its last call is still running.

        Raises:
            BaseException: the error that the last call raised.
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
        """Seconds since the running call began, 0 if none is running."""
        since_s = self._since_s
        return 0.0 if since_s is None else self._clock() - since_s

    def join(self, timeout_s: float) -> None:
        """Wait until no call is running, at most this long."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._action()
        except BaseException as error:  # noqa: BLE001  raised again where it can be handled
            self._failure = error
        finally:
            self._since_s = None
