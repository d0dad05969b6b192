"""Streams for messages whose reader may go, such as a closed terminal or `head`: that ends nothing."""

from __future__ import annotations

import contextlib
import os
from typing import Any, TextIO


class ForgivingStream:
    """A text stream that goes on as `/dev/null` once it cannot be written.

    Args:
        stream: the stream to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, or drop it if nobody reads the stream. Return its length."""
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            self._forget()
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or drop it."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._forget()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _forget(self) -> None:
        """Lead the stream's descriptor to /dev/null, so that libraries and Python's end do not fail at it either."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
