"""Tracking URIs: the accepted forms, the absolute form and the form for display."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from harness.errors import UsageError
from harness.network import without_secrets

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"

_SERVERS = ("http", "https")
_DATABASES = ("postgresql", "mysql", "mssql")
_SQLITE = "sqlite:///"
_IN_MEMORY = ("", ":memory:")


def resolve(tracking_uri: str) -> str:
    """Return the URI with a relative SQLite path made absolute, so that it names the same store wherever it is used.

    Raises:
        UsageError: MLflow cannot use the URI.
    """
    uri = tracking_uri.strip() or DEFAULT_TRACKING_URI
    if uri.startswith(_SQLITE):
        return _absolute_sqlite(uri)
    if uri == "databricks":
        return uri
    scheme, host = _scheme_and_host(uri)
    family = scheme.partition("+")[0]
    if (family in _SERVERS or family in _DATABASES) and not host:
        raise UsageError(f"tracking URI {display(uri)!r} names no host; expected for example {scheme}://host:5000")
    if family not in (*_SERVERS, *_DATABASES, "databricks"):
        raise UsageError(
            f"tracking URI {display(uri)!r} is none that can be used here; give a server (http://host:5000, https://...)"
            f" or a database ({DEFAULT_TRACKING_URI}, postgresql://..., mysql://...)"
        )
    return uri


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a resolved SQLite URI, None for every other URI."""
    path = uri.removeprefix(_SQLITE).partition("?")[0]
    return Path(path) if uri.startswith(_SQLITE) and path not in _IN_MEMORY else None


def display(text: str) -> str:
    """Return a URI, or a message with URIs in it, without secrets."""
    return without_secrets(text)


def fingerprint(uri: str) -> str:
    """Return a digest that tells one store from another without revealing its password."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


def _absolute_sqlite(uri: str) -> str:
    path, mark, query = uri.removeprefix(_SQLITE).partition("?")
    if path in _IN_MEMORY:
        raise UsageError(f"tracking URI {uri!r} keeps nothing; name a file, as {DEFAULT_TRACKING_URI} does")
    return f"{_SQLITE}{Path(path).expanduser().absolute()}{mark}{query}"


def _scheme_and_host(uri: str) -> tuple[str, str | None]:
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises if it is not a number
        return parts.scheme.lower(), parts.hostname
    except ValueError as error:
        raise UsageError(f"tracking URI {display(uri)!r} is malformed: {error}") from error
