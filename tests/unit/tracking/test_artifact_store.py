"""Temporary and final errors of an artifact store: those of requests, and of the libraries of S3 and Google."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from http import HTTPStatus

import pytest
import requests

from harness.errors import TrackingUnreachable
from harness.tracking.artifact_store import is_transient, store_errors_translated
from harness.tracking.tracker import RejectedError


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
def test_what_may_work_later_is_left_to_be_tried_again(error: OSError) -> None:
    assert is_transient(error)
    with pytest.raises(type(error)), store_errors_translated("a file is not stored"):
        raise error


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
