"""Temporary and final errors of an artifact store: those of requests, and of the libraries of S3 and Google."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from http import HTTPStatus

import pytest
import requests
from mlflow.exceptions import MlflowException, RestException

from harness.errors import TrackingUnreachable
from harness.tracking.artifact_store import is_transient, store_errors_translated
from harness.tracking.mlflow_store import shortened
from harness.tracking.tracker import ArtifactStoreUnreachable, RejectedError


def http_error(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError(f"{status} from the proxy", response=response)


class BotoCoreError(Exception):
    """A stand-in for botocore's base error; botocore is not installed here."""


class NoCredentialsError(BotoCoreError):
    """A stand-in for botocore's error of this name."""


class HTTPClientError(BotoCoreError):
    """A stand-in for botocore's base of all connection errors."""


class EndpointConnectionError(HTTPClientError):
    """A stand-in for botocore's error of this name."""


class ClientError(Exception):
    """A stand-in for botocore's error for an answer of S3."""

    def __init__(self, response: Mapping[str, Mapping[str, int]]) -> None:
        super().__init__("an error occurred")
        self.response = response


class GoogleError(Exception):
    """A stand-in for google.api_core.exceptions.GoogleAPICallError."""

    def __init__(self, code: HTTPStatus) -> None:
        super().__init__("an error occurred")
        self.code = code


def of_s3(status: int) -> ClientError:
    return ClientError({"ResponseMetadata": {"HTTPStatusCode": status}})


def wrapped(error: Exception) -> Exception:
    """Wrap an error as boto3 wraps errors of botocore."""
    try:
        try:
            raise error
        except Exception as caught:
            raise RuntimeError("failed to upload") from caught
    except RuntimeError as outer:
        return outer


@pytest.mark.parametrize(
    "error",
    [
        *(http_error(status) for status in (400, 404, 411, 413, 415)),
        *(of_s3(403), wrapped(of_s3(400)), GoogleError(HTTPStatus.NOT_FOUND)),
        ModuleNotFoundError("No module named 'boto3'"),
        NoCredentialsError("unable to locate credentials"),
        PermissionError(errno.EACCES, "Permission denied", "/mlflow"),
        OSError(errno.EROFS, "Read-only file system", "/mlflow"),
    ],
)
def test_what_no_patience_mends_is_refused(error: Exception) -> None:
    expected = r"^artifact plan.json is not stored: .*; mend MLflow's artifact store"
    with pytest.raises(RejectedError, match=expected), store_errors_translated("artifact plan.json is not stored"):
        raise error


@pytest.mark.parametrize(
    "error",
    [
        *(http_error(status) for status in (401, 403, 408, 429, 500, 502, 503)),
        *(requests.ConnectionError("refused"), requests.Timeout("too slow"), ConnectionResetError()),
        OSError(errno.ENOSPC, "No space left on device"),
    ],
)
def test_what_may_work_later_is_tried_again_and_is_no_fault_of_the_tracking_server(error: OSError) -> None:
    assert is_transient(error)
    expected = "^a file is not stored: .*artifact store does not answer"
    with pytest.raises(ArtifactStoreUnreachable, match=expected), store_errors_translated("a file is not stored"):
        raise error


def from_mlflow(text: str, cause: Exception | None = None) -> MlflowException:
    """Return an error of MLflow about a place of files, made as MLflow makes it of another error."""
    try:
        try:
            if cause is not None:
                raise cause
        finally:
            raise MlflowException(text)
    except MlflowException as error:
        return error


class OperationalError(Exception):
    """A stand-in for SQLAlchemy's error for a database that is locked or away."""


def test_what_mlflow_says_of_a_place_goes_by_its_cause() -> None:
    for final in (
        from_mlflow("When an mlflow-artifacts URI was supplied, the tracking URI must be a valid http or https URI"),
        from_mlflow("Could not find a registered artifact repository for: nonsense://x", KeyError("nonsense")),
        from_mlflow("cannot write", PermissionError(errno.EACCES, "Permission denied")),
    ):
        with pytest.raises(RejectedError), store_errors_translated("a file is not stored"):
            raise final
    for passing in (
        from_mlflow("API request failed with exception", requests.ConnectionError("refused")),
        from_mlflow("(sqlite3.OperationalError) database is locked", OperationalError("database is locked")),
    ):
        with pytest.raises(ArtifactStoreUnreachable), store_errors_translated("a file is not stored"):
            raise passing


def test_an_answer_of_the_tracking_server_is_left_to_who_asked_it() -> None:
    answer = RestException({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no run"})
    with pytest.raises(RestException), store_errors_translated("a file is not stored"):
        raise answer


def test_a_long_message_is_cut_where_its_sense_ends() -> None:
    assert shortened("refused:\n at http://me:planted@host:5\n") == "refused: at http://***@host:5"
    sentence = "x" * 599 + "."
    assert shortened(f"{sentence} {'word ' * 200}") == f"{sentence} …"
    words = shortened("word " * 300)
    assert words.endswith("word …")
    assert 990 < len(words) < 1_010


@pytest.mark.parametrize(
    "error",
    [
        *(of_s3(503), wrapped(of_s3(429)), GoogleError(HTTPStatus.SERVICE_UNAVAILABLE)),
        *(EndpointConnectionError("could not connect"), wrapped(EndpointConnectionError("could not connect"))),
    ],
)
def test_another_stores_library_without_an_answer_is_a_store_that_is_away(error: Exception) -> None:
    with (
        pytest.raises(TrackingUnreachable, match="artifact store does not answer"),
        store_errors_translated("a file is not stored"),
    ):
        raise error
