"""A connection to MLflow that prints nothing, has short timeouts and raises our own exceptions."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import mlflow.environment_variables as settings
from mlflow.entities import Run
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.entities.paged_list import PagedList
from mlflow.tracking import MlflowClient
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request, verify_rest_response

from harness.errors import TrackingUnreachable
from harness.network import without_secrets
from harness.schema import Tag
from harness.tracking import address
from harness.tracking.artifact_place import location_of_run, misplaced
from harness.tracking.tracker import RejectedError, RunRecord

T = TypeVar("T")

REQUEST_TIMEOUT_S = 20
CHECK_TIMEOUT_S = (3, 10)
"""Timeouts in seconds to connect and to answer. The first answer of a server on a busy machine took up to 8 s."""
CONNECT_TIMEOUT_S = 15
"""Timeout in seconds to open a database on a server."""
CREATE_TIMEOUT_S = 180
"""Timeout in seconds to open a SQLite file. Making a new one takes about 10 s."""
PAUSE_S = 0.5
"""Seconds before a request is repeated, at first; each later pause is four times as long."""
PAGE = 500
_SEARCH = "/api/2.0/mlflow/experiments/search"
LONGEST_MESSAGE = 1000
"""Most characters that are shown of a library's message, which may repeat a whole page or SQL statement."""

_FINAL = {"INVALID_PARAMETER_VALUE", "INVALID_STATE", "MALFORMED_REQUEST"}
_FINAL_FROM_MLFLOW = {"RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "BAD_REQUEST"}
"""Codes that are final only if MLflow itself sends them; from a proxy before a server that starts, they mean "wait"."""
_OTHER_HOST = "Invalid Host header"
"""MLflow's answer to a request by another name than those of `--allowed-hosts`."""
_UNAUTHENTICATED = {"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED"}


class MlflowStore:
    """One tracking store."""

    def __init__(self, tracking_uri: str, *, tries: int = 1, create: bool = True) -> None:
        """Connect.

        Args:
            tracking_uri: URI of the store.
            tries: how often a request is made before the store counts as unreachable.
            create: make a SQLite database if there is none.

        Raises:
            UsageError: the URI cannot be used.
            TrackingUnreachable: the store does not answer within seconds.
        """
        self.uri = address.resolve(tracking_uri)
        self._tries = tries
        self._locations: dict[str, str] = {}
        configure()
        _check_sqlite(self.uri, create)
        self.client = MlflowClient(self.uri) if self.is_server else _open_database(self.uri)

    @property
    def is_server(self) -> bool:
        """Whether the store is a server, reached over HTTP."""
        return self.uri.startswith("http")

    def check(self) -> None:
        """Check that MLflow answers a request of its API. A database is checked when it is opened and used."""
        if not self.is_server:
            return
        with self.translated():
            response = self.get(_SEARCH, params={"max_results": 1}, timeout=CHECK_TIMEOUT_S, raise_on_status=False)
            is_mlflow = bool(response.text.strip())  # the next call takes nothing at all for an answer
            verify: Any = verify_rest_response
            answer = verify(response, _SEARCH).json()
        if not is_mlflow or not answer.keys() <= {"experiments", "next_page_token"}:
            raise unreachable(self.uri, f"the server answers, but not as MLflow: {response.text or 'with nothing'}")

    def get(self, endpoint: str, **options: Any) -> Any:
        """Return the server's response to a GET, with MLflow's own credentials."""
        request: Any = http_request
        credentials: Any = get_default_host_creds
        return request(credentials(self.uri), endpoint, "GET", max_retries=0, **options)

    def call(self, request: Callable[[], T]) -> T:
        """Return the answer to a request, which is repeated if the store does not answer."""
        for pause_s in (PAUSE_S * 4**attempt for attempt in range(self._tries - 1)):
            try:
                with self.translated():
                    return request()
            except TrackingUnreachable:
                time.sleep(pause_s)
        with self.translated():
            return request()

    def search(self, experiment_ids: Sequence[str], query: str, *, newest_first: bool = False) -> Iterator[Run]:
        """Yield every run that a query finds, by start and id."""
        order = ["attributes.start_time DESC" if newest_first else "attributes.start_time ASC", "attributes.run_id ASC"]
        return self.pages(
            lambda token: self.client.search_runs(
                list(experiment_ids), query, max_results=PAGE, order_by=order, page_token=token
            )
        )

    def runs_of_sweep(self, experiment_id: str, sweep_id: str) -> list[RunRecord]:
        """Return the parent and the children of a sweep, in the order in which they started."""
        return [record(run) for run in self.search([experiment_id], f"tags.`{Tag.SWEEP_ID}` = '{sweep_id}'")]

    def misplaced(self, run_id: str) -> str | None:
        """Return why a run's files must not be written where the store says; None if they may be."""
        if run_id not in self._locations:
            self._locations[run_id] = location_of_run(self.client.get_run(run_id).info.artifact_uri, run_id)
        return misplaced(self._locations[run_id], self.uri)

    def pages(self, page: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
        """Yield the items of all pages. Each page is requested when it is needed."""
        token: str | None = None
        while True:
            found = self.call(partial(page, token))
            yield from found
            token = found.token
            if not token:
                return

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn exceptions of MLflow, and of the libraries below it, into ours."""
        try:
            yield
        except MlflowException as error:
            raise self._ours(error) from error
        except OSError as error:  # requests' exceptions are OSErrors, and so is a full artifact disk
            raise unreachable(self.uri, error) from error

    def _ours(self, error: MlflowException) -> RejectedError | TrackingUnreachable:
        from_the_store = isinstance(error, RestException) or not self.is_server
        if error.error_code in _FINAL or (from_the_store and error.error_code in _FINAL_FROM_MLFLOW):
            return RejectedError(f"{address.display(self.uri)} refuses: {_one_line(error, self.uri)}")
        if _OTHER_HOST in str(error):
            place = urlsplit(self.uri).netloc.rpartition("@")[2]
            return TrackingUnreachable(
                f"MLflow at {address.display(self.uri)} does not accept requests by this name of its host: "
                f"{_one_line(error, self.uri)}; start it with `mlflow server --allowed-hosts '{place},localhost:*'`, "
                "or ask it by a name that it accepts"
            )
        if error.error_code in _UNAUTHENTICATED:
            return TrackingUnreachable(
                f"MLflow at {address.display(self.uri)} refused the connection: {_one_line(error, self.uri)}; "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
            )
        return unreachable(self.uri, error)


def record(run: Run) -> RunRecord:
    """Convert MLflow's run to ours."""
    return RunRecord(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        start_ms=run.info.start_time,
        end_ms=run.info.end_time,
        tags=run.data.tags,
        params=run.data.params,
        metrics=run.data.metrics,
    )


def configure() -> None:
    """Keep MLflow from printing, and from waiting for minutes unless the user has set so."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    variables: Any = settings  # MLflow's own names for its settings, without types
    variables.MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)
    variables.MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set(False)
    for variable, value in (
        (variables.MLFLOW_HTTP_REQUEST_TIMEOUT, REQUEST_TIMEOUT_S),
        (variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES, 0),
        (variables.MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER, False),
    ):
        if not variable.is_set():
            variable.set(value)


def unreachable(uri: str, error: Exception | str) -> TrackingUnreachable:
    """Return the error for a store that does not answer."""
    first = "start the server" if uri.startswith("http") else "mend the database"
    return TrackingUnreachable(
        f"no MLflow answers at {address.display(uri)}: {_one_line(error, uri)}; "
        f"{first}, or name another with --tracking-uri or MLFLOW_TRACKING_URI"
    )


def _one_line(error: Exception | str, uri: str) -> str:
    return shortened(address.hide(error if isinstance(error, str) else _cause(error), uri))


def shortened(text: str) -> str:
    """Return a library's message as one line without passwords, cut behind a sentence or a word if it is very long."""
    text = without_secrets(" ".join(text.split()))
    if len(text) <= LONGEST_MESSAGE:
        return text
    start = text[:LONGEST_MESSAGE]
    sense = start.rpartition(". ")[0]
    return (f"{sense}." if len(sense) > LONGEST_MESSAGE // 2 else start.rpartition(" ")[0] or start) + " …"


def _cause(error: BaseException) -> str:
    """Return the operating system's message below an error, such as `Connection refused`, or else the first cause."""
    first: BaseException = error
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError):
            first = link
        link = link.__cause__ or link.__context__
    return first.strerror if isinstance(first, OSError) and first.strerror else str(first)


def _check_sqlite(uri: str, create: bool) -> None:
    """Open the file first, because MLflow would try ten times, for 100 seconds."""
    path = address.sqlite_path(uri)
    if path is None:
        return
    if not create and not path.exists():
        raise unreachable(uri, "there is no such file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=5)) as database:
            database.execute("PRAGMA user_version").fetchall()
    except (OSError, sqlite3.Error) as error:
        raise unreachable(uri, error) from error


def _open_database(uri: str) -> MlflowClient:
    """Return MLflow's client. The deadline is ours, because MLflow has none here."""
    outcome: list[MlflowClient | Exception] = []
    thread = threading.Thread(target=_try_open, args=(uri, outcome), daemon=True)
    thread.start()
    timeout_s = CREATE_TIMEOUT_S if address.sqlite_path(uri) else CONNECT_TIMEOUT_S
    thread.join(timeout_s)
    if not outcome:
        raise unreachable(uri, f"not open after {timeout_s} s")
    if isinstance(outcome[0], Exception):
        raise unreachable(uri, outcome[0]) from outcome[0]
    return outcome[0]


def _try_open(uri: str, outcome: list[MlflowClient | Exception]) -> None:
    try:
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)  # the store is made on first use
        outcome.append(client)
    except Exception as error:  # noqa: BLE001  handed to the thread that waits for it
        outcome.append(error)
