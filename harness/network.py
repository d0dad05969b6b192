"""Addresses: a quick test whether something listens there, and a form without secrets, to be shown."""

from __future__ import annotations

import re
import socket

CONNECT_TIMEOUT_S = 5.0
_SCHEME = r"[a-zA-Z][a-zA-Z0-9+.-]*://"
_USER = re.compile(rf"\b((?!(?:sqlite|file):///){_SCHEME})(?!\*\*\*@)(?:(?!(?<=[\s'\"(<\[,;=]){_SCHEME}).)*@")
"""A user or a token and a password of any characters: all between `scheme://` and the last `@` of a line or before the
next address, which begins behind a space, a quote or another mark. What is hidden already stays as it is."""
_QUERY = re.compile(r"([?&][\w.%-]+=)[^&\s'\"#]+")


def connection_fault(host: str, port: int) -> str | None:
    """Return why a connection to this port fails; None if something listens there. It takes at most some seconds."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def without_secrets(text: str) -> str:
    """Return an address, or a message with addresses in it, without users, passwords, tokens and values of queries.

    A password may hold `/`, `@` and spaces, so all up to the last `@` of a line is left out.
    """
    return _QUERY.sub(r"\1***", _USER.sub(r"\1***@", text))
