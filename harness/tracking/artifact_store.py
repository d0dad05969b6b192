"""What an error of an artifact store means: it is away and asked again, or it will never do this."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlflow.exceptions import MlflowException

from harness.errors import TrackingUnreachable
from harness.tracking.mlflow_store import shortened
from harness.tracking.tracker import Refused

_LATER = {401, 403, 407, 408, 425, 429}
"""Of the 4xx: who we are is for the user to mend, for every request at once; the others ask for patience."""
_NEVER_ON_DISK = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
}
"""A full or failing disk is mended, and asked again."""
_CONNECTIONS = {"ConnectionError", "HTTPClientError", "ServiceRequestError", "ServiceResponseError", "TransportError"}
"""Base classes of what the libraries for S3, Azure and Google raise without an answer. None need be installed here."""


@contextmanager
def settled(what: str) -> Iterator[None]:
    """Turn errors of the libraries of artifact stores into ours. MLflow's own, and a server's that is away, pass.

    Args:
        what: is stored or read, for the message.

    Raises:
        Refused: asking again is no use.
        TrackingUnreachable: the artifact store does not answer.
    """
    try:
        yield
    except (MlflowException, Refused, TrackingUnreachable):
        raise
    except Exception as error:  # each library has exceptions of its own, and none is named by MLflow
        if not is_passing(error):
            raise Refused(f"{what}: {_text(error)}; mend MLflow's artifact store or its settings here") from error
        if isinstance(error, OSError):
            raise
        raise TrackingUnreachable(f"MLflow's artifact store does not answer: {_text(error)}") from error


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later: no answer, a server's own fault, a full disk."""
    status = next((found for link in _chain(error) if (found := _status(link)) is not None), None)
    if status is not None:
        return status >= 500 or (status in _LATER if isinstance(error, OSError) else status in {408, 425, 429})
    if isinstance(error, OSError):
        return error.errno not in _NEVER_ON_DISK
    return any(base.__name__ in _CONNECTIONS for link in _chain(error) for base in type(link).__mro__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from: libraries wrap what they met."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _status(error: BaseException) -> int | None:
    """Of the HTTP answer: where requests, botocore, Azure's and Google's libraries keep it."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, Mapping):
        response = response.get("ResponseMetadata", {})
        return _number(response.get("HTTPStatusCode"))
    candidates = ((response, "status_code"), (error, "status_code"), (error, "code"))
    return next((status for holder, name in candidates if (status := _number(getattr(holder, name, None)))), None)


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _text(error: Exception) -> str:
    return shortened(str(error) or type(error).__name__)
