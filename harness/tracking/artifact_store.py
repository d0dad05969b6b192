"""Errors of an artifact store, sorted into temporary ones, which are tried again, and final ones."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlflow.exceptions import MlflowException, RestException

from harness.errors import TrackingUnreachable
from harness.tracking.mlflow_store import shortened
from harness.tracking.tracker import ArtifactStoreUnreachable, RejectedError

_TRANSIENT_STATUSES = {401, 403, 407, 408, 425, 429}
"""4xx statuses that are tried again: the user can mend credentials, and the other statuses ask for patience."""
_FINAL_DISK_ERRORS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
}
"""Disk errors that are final. A full or failing disk is not among them: it can be mended, and is tried again."""
_CONNECTION_ERRORS = {
    "ConnectionError",
    "HTTPClientError",
    "OperationalError",
    "ServiceRequestError",
    "ServiceResponseError",
    "TransportError",
}
"""Names of the base exceptions of SQLAlchemy and of the libraries of S3, Azure and Google for no answer. None of them
need be installed."""


@contextmanager
def store_errors_translated(what: str) -> Iterator[None]:
    """Turn errors of the artifact stores' libraries, and of MLflow about them, into ours.

    Args:
        what: the failed operation, for the message.

    Raises:
        RejectedError: trying again is no use.
        ArtifactStoreUnreachable: the artifact store does not answer.
    """
    try:
        yield
    except (RestException, RejectedError, TrackingUnreachable):  # the first is an answer of the tracking server
        raise
    except Exception as error:  # each library has its own exceptions, and MLflow names none
        if is_transient(error):
            raise ArtifactStoreUnreachable(
                f"{what}: {_text(error)}; MLflow's artifact store does not answer, or is full"
            ) from error
        raise RejectedError(f"{what}: {_text(error)}; mend MLflow's artifact store or its settings here") from error


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later: no answer, a fault of the server, or a full disk."""
    status = next((found for link in _chain(error) if (found := _status(link)) is not None), None)
    if status is not None:
        return status >= 500 or (
            status in _TRANSIENT_STATUSES if isinstance(error, OSError) else status in {408, 425, 429}
        )
    links = _chain(error) if isinstance(error, MlflowException) else [error]
    system = next((link for link in links if isinstance(link, OSError)), None)
    if system is not None:
        return system.errno not in _FINAL_DISK_ERRORS
    return any(base.__name__ in _CONNECTION_ERRORS for link in _chain(error) for base in type(link).__mro__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes: libraries wrap the errors that they meet."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _status(error: BaseException) -> int | None:
    """Return the status of the HTTP answer from where requests, botocore and the Azure and Google libraries keep it."""
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
