"""Tracking URIs: the accepted forms, the absolute form and the form for display."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.errors import UsageError
from harness.network import without_secrets
from harness.storage import with_home

DEFAULT_TRACKING_URI = "sqlite:///mlflow.db"

_SERVERS = ("http", "https")
_DATABASES = ("postgresql", "mysql", "mssql")
_SQLITE = "sqlite:///"
_IN_MEMORY = ("", ":memory:")
_ENCODE = "in a user or a password write / as %2F, ? as %3F, # as %23, @ as %40 and a space as %20"
_SHORTEST_SECRET = 3
"""Characters of the shortest part of an address that is looked for in messages."""


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
    scheme, family = _scheme(uri)
    if family == "databricks":
        return uri
    if family not in (*_SERVERS, *_DATABASES):
        raise UsageError(
            f"tracking URI {display(uri)!r} is none that can be used here; give a server (http://host:5000, https://...)"
            f" or a database ({DEFAULT_TRACKING_URI}, postgresql://..., mysql://...)"
        )
    if not (_server_host(uri) if family in _SERVERS else _database_host(uri)):
        raise UsageError(f"tracking URI {display(uri)!r} names no host; expected for example {scheme}://host:5000")
    return uri


def sqlite_path(uri: str) -> Path | None:
    """Return the file of a resolved SQLite URI, None for every other URI."""
    path = uri.removeprefix(_SQLITE).partition("?")[0]
    return Path(path) if uri.startswith(_SQLITE) and path not in _IN_MEMORY else None


def display(uri: str) -> str:
    """Return a URI without secrets."""
    whole = " ".join(uri.split())
    if "://" not in whole and "@" in whole:
        return f"***@{whole.rpartition('@')[2]}"
    head, _, query = whole.partition("?")
    if "@" in query and "@" not in head:  # a password with `?`, or a query with `@`
        return f"{head.partition('://')[0]}://***"
    return hide(whole, uri)


def hide(message: str, uri: str) -> str:
    """Return a library's message without the secrets of addresses, and without parts of those of a URI.

    A library that reads an address in its own way repeats parts of it, such as a "port" out of a password.
    """
    for part in sorted(_secret_parts(uri), key=len, reverse=True):
        message = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "***", message)
    return without_secrets(message)


def page_url(uri: str, path: str = "") -> str:
    """Return the address of a page of a server, without users, passwords and queries, as a browser takes it."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}/{path}"


def fingerprint(uri: str) -> str:
    """Return a digest that tells one store from another without revealing its password."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]


def _absolute_sqlite(uri: str) -> str:
    path, mark, query = uri.removeprefix(_SQLITE).partition("?")
    if path in _IN_MEMORY:
        raise UsageError(f"tracking URI {display(uri)!r} keeps nothing; name a file, as {DEFAULT_TRACKING_URI} does")
    path = path.removeprefix("/") if path.startswith("/~") else path  # an absolute path to a home
    return f"{_SQLITE}{Path(with_home(path)).absolute()}{mark}{query}"


def _scheme(uri: str) -> tuple[str, str]:
    """Return the scheme, and its part before a `+`; empty if the URI has none."""
    scheme, mark, _ = uri.partition("://")
    scheme = scheme.lower() if mark else ""
    return scheme, scheme.partition("+")[0]


def _server_host(uri: str) -> str | None:
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises if it is not a number
    except ValueError as error:
        raise UsageError(f"tracking URI {display(uri)!r} is malformed: {_ENCODE if '@' in uri else error}") from error
    if "@" in uri.partition("://")[2].removeprefix(parts.netloc):
        raise UsageError(f"tracking URI {display(uri)!r} is malformed: {_ENCODE}")
    return parts.hostname


def _database_host(uri: str) -> str:
    """Return the host of a database's address. SQLAlchemy takes all between the first `:` and `@` as the password."""
    found = re.match(r"[^:]+://(?:[^:/@]*(?::[^@]*)?@)?([^/?]*)", uri)
    host = found[1] if found else ""
    if "@" in host:
        raise UsageError(f"tracking URI {display(uri)!r} is malformed: {_ENCODE}")
    return host


def _secret_parts(uri: str) -> set[str]:
    """Return user, password and query values of a URI, whole and in parts, unless its place has the same word."""
    rest = uri.partition("://")[2]
    user, _, place = ("", "", rest) if uri.startswith(_SQLITE) else rest.rpartition("@")
    values = [pair.partition("=")[2] for pair in rest.partition("?")[2].split("&")]
    parts = {user, *re.split(r"[:/@?#&=\s]+", user), *values}
    known = set(re.split(r"\W+", place.partition("?")[0]))
    return {one for part in parts for one in (part, unquote(part)) if len(one) >= _SHORTEST_SECRET and one not in known}
