"""A quick test of an address, for clients that would themselves try for minutes."""

from __future__ import annotations

import socket

CONNECT_TIMEOUT_S = 5.0


def connection_fault(host: str, port: int) -> str | None:
    """Return why a connection to this port fails; None if something listens there. It takes at most some seconds."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
