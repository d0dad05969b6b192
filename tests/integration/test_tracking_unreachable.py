"""Tracking stores that cannot be used: each says why, within seconds, and holds no sweep up."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from harness.errors import TrackingUnreachable
from harness.tracking.prepare import prepare
from harness.tracking.results import list_sweeps, load_sweep
from harness.tracking.tracker import RejectedError
from tests.support.processes import free_port
from tests.support.tracked_sweep import NOT_MINUTES_S, SAMPLE, NewSweep

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("uri", ["sqlite:////proc/nowhere/mlflow.db", "sqlite:///notes.txt"])
def test_a_database_that_cannot_be_opened_is_told_and_not_waited_for(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("nothing that SQLite could read, and long enough that it tries to " * 20)
    began = time.monotonic()
    with pytest.raises(TrackingUnreachable, match="no MLflow answers at sqlite"):
        prepare(uri, "sample")
    assert time.monotonic() - began < NOT_MINUTES_S


def test_reading_makes_no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrackingUnreachable, match="no such file"):
        load_sweep("sqlite:///mlflow.db")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_exist_is_told_with_what_to_do() -> None:
    began = time.monotonic()
    with pytest.raises(TrackingUnreachable, match=r"at http://127\.0\.0\.1:\d+: Connection refused; start the server"):
        prepare(f"http://127.0.0.1:{free_port()}", "sample")
    assert time.monotonic() - began < NOT_MINUTES_S


def test_a_server_that_takes_the_call_and_says_nothing_is_given_up() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        began = time.monotonic()
        with pytest.raises(TrackingUnreachable, match="timed out"):
            prepare(f"http://127.0.0.1:{mute.getsockname()[1]}", "sample")
        assert time.monotonic() - began < NOT_MINUTES_S


@contextmanager
def answering(status: int) -> Iterator[str]:
    """Run a web server that is not MLflow and answers every request the same; yield its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Retry-After", "3600")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_PUT = do_GET  # noqa: N815  the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
def test_a_proxy_that_answers_for_a_server_that_is_away_means_wait(status: int, new_sweep: NewSweep) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    began = time.monotonic()
    with answering(status) as uri:
        progress = sweep.recorder(uri).forward()
    assert time.monotonic() - began < NOT_MINUTES_S
    assert (progress.sent, progress.problems) == (0, ())
    assert "no MLflow answers" in str(progress.error)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_credentials_says_which(status: int, new_sweep: NewSweep) -> None:
    with answering(status) as uri, pytest.raises(TrackingUnreachable, match="set MLFLOW_TRACKING_USERNAME"):
        prepare(uri, "sample")


@pytest.mark.parametrize(("status", "whole"), [(413, True), (503, False)])
def test_a_file_that_is_too_large_for_a_proxy_holds_nothing_up_and_a_proxy_that_is_away_does(
    database: Path, new_sweep: NewSweep, status: int, whole: bool
) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    with answering(status) as proxy:
        MlflowClient(f"sqlite:///{database}").create_experiment("sample", artifact_location=f"{proxy}/artifacts")
        progress = sweep.recorder("sqlite:///mlflow.db").forward()
    assert (progress.waiting == 0, progress.error is None) == (whole, whole)
    assert any("trials.json is not stored: 413" in problem for problem in progress.problems) == whole
    assert set(list_sweeps("sqlite:///mlflow.db")["status"]) == {"finished"}  # only the files wait


def test_an_artifact_store_that_cannot_be_used_from_here_costs_files_and_nothing_else(
    database: Path, new_sweep: NewSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("boto3", "botocore"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    MlflowClient(f"sqlite:///{database}").create_experiment("sample", artifact_location="s3://bucket/artifacts")
    progress = sweep.recorder("sqlite:///mlflow.db").forward()
    assert (progress.waiting, progress.error) == (0, None)
    assert any("trials.json" in problem and "boto" in problem for problem in progress.problems)
    assert list(list_sweeps("sqlite:///mlflow.db")["status"]) == ["finished"]
    with pytest.raises(RejectedError, match=r"artifacts cannot be listed: .*boto"):
        load_sweep("sqlite:///mlflow.db")
