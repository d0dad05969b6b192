"""Places of files that MLflow names but that cannot be used, and servers that are not MLflow, or not by this name."""

from __future__ import annotations

import http.server
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from harness.cli.doctor import diagnose
from harness.cli.sync import sync_storage
from harness.errors import ExitCode, StorageError, TrackingUnreachable, UsageError
from harness.tracking.prepare import prepare
from harness.tracking.results import list_sweeps, load_sweep, log_report
from harness.tracking.sample import Sample, trial_id
from harness.tracking.tracker import RejectedError
from tests.support.mlflow_server import MlflowServer
from tests.support.tracked_sweep import SAMPLE, NewSweep

pytestmark = pytest.mark.integration

URI = "sqlite:///mlflow.db"


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("location", ["mlflow-artifacts:/7", "nonsense://bucket/7", "dbfs:/7"])
def test_a_place_that_cannot_be_used_here_costs_files_and_nothing_else(
    database: Path, new_sweep: NewSweep, location: str
) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    MlflowClient(f"sqlite:///{database}").create_experiment("sample", artifact_location=location)
    progress = sweep.recorder(URI).forward()
    assert (progress.waiting, progress.error) == (0, None)
    named = {problem.partition(" is not stored")[0] for problem in progress.problems}
    assert named == {
        f"artifact {name}" for name in ("workload.yaml", "trials.json", "plan.json", "environment.json")
    } | {"artifact steps.parquet"}
    assert list(list_sweeps(URI)["status"]) == ["finished"]
    client = MlflowClient(f"sqlite:///{database}")
    runs = client.search_runs([client.get_experiment_by_name("sample").experiment_id])
    assert sorted(run.data.metrics["final/test_error_pct"] for run in runs if run.data.params) == [10, 11, 12, 13]
    with pytest.raises(RejectedError, match="artifacts cannot be listed"):
        load_sweep(URI)


@pytest.mark.parametrize("place", ["http://127.0.0.1:9/7", "ftp://127.0.0.1:9/7"])
def test_a_place_that_does_not_answer_delays_files_and_nothing_else(
    database: Path, new_sweep: NewSweep, tmp_path: Path, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    sweeps = {name: new_sweep(Sample(name=name, sweep_id=name, experiment=name)) for name in ("away", "there")}
    for name, sweep in sweeps.items():
        sweep.write(*Sample(name=name, sweep_id=name, experiment=name).events())
    client = MlflowClient(f"sqlite:///{database}")
    client.create_experiment("away", artifact_location=place)
    assert sync_storage(tmp_path / "runs", URI) is ExitCode.FAILED
    printed = capsys.readouterr()
    assert "there: all 22 events are in MLflow" in printed.out
    assert "artifact store does not answer" in printed.err
    assert dict(zip(*(list_sweeps(URI)[column] for column in ("name", "status")), strict=True)) == {
        "away": "finished",
        "there": "finished",
    }
    runs = client.search_runs([client.get_experiment_by_name("away").experiment_id])
    assert sorted(run.data.metrics["final/test_error_pct"] for run in runs if run.data.params) == [10, 11, 12, 13]


@pytest.fixture
def project(empty_store: Path, tmp_path: Path, new_sweep: NewSweep, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project with a database and a recorded sweep."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    shutil.copy(empty_store, folder / "mlflow.db")
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    assert sweep.recorder(URI).forward().problems == ()
    return folder


def test_a_project_that_was_moved_names_the_old_place_and_writes_nothing_there(
    project: Path, new_sweep: NewSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = project.rename(tmp_path / "moved")
    monkeypatch.chdir(moved)
    with pytest.raises(StorageError, match=f"{project}/mlruns/1 is not there"):
        load_sweep(URI)
    with pytest.raises(UsageError, match=f"{project}/mlruns/1 is not there.*ln -s {moved}/mlruns {project}/mlruns"):
        prepare(URI, "sample")
    prepare(URI, "another")
    later = Sample(trials=1, name="later", sweep_id="later")
    sweep = new_sweep(later)
    sweep.write(*later.events())
    progress = sweep.recorder(URI).forward()
    assert (progress.waiting, progress.error) == (0, None)
    assert all(f"{project}/mlruns/1 is not there" in problem for problem in progress.problems)
    assert len(progress.problems) == 4
    assert not project.exists()

    project.mkdir()
    (project / "mlruns").symlink_to(moved / "mlruns")
    assert list(load_sweep(URI, "sample-1").trials["trial_id"]) == [trial_id(index) for index in range(4)]
    prepare(URI, "sample")


def test_a_copy_of_a_project_writes_nothing_into_the_original(
    project: Path, new_sweep: NewSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(project, tmp_path / "copy"))
    before = files_below(project)
    monkeypatch.chdir(copy)
    with pytest.raises(UsageError, match=f"{project}/mlruns/1 belongs to {project}/mlflow.db"):
        prepare(URI, "sample")
    run_id = load_sweep(URI).run_id
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "index.html").write_text("<p>")
    with pytest.raises(RejectedError, match=r"of which .*copy/mlflow\.db is a copy"):
        log_report(URI, run_id, tmp_path / "report")
    later = Sample(trials=1, name="later", sweep_id="later", files=("steps.csv",))
    sweep = new_sweep(later)
    sweep.write(*later.events())
    assert sweep.recorder(URI).forward().waiting == 0
    assert files_below(project) - {"mlflow.db"} == before - {"mlflow.db"}


def test_a_database_used_from_several_folders_keeps_its_files_where_the_first_was(
    project: Path, new_sweep: NewSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = prepare(f"sqlite:///{project}/mlflow.db", "sample")
    later = Sample(trials=1, name="later", sweep_id="later")
    sweep = new_sweep(later)
    sweep.write(*later.events())
    assert sweep.recorder(uri).forward().problems == ()
    assert load_sweep(uri, "later").status == "finished"


def test_a_name_of_its_host_that_the_server_does_not_accept_is_no_matter_of_credentials(
    mlflow_server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **kw: real("127.0.0.1", *more, **kw))
    uri = f"http://me:planted@tracking.example:{mlflow_server.port}"
    with pytest.raises(TrackingUnreachable) as caught:
        prepare(uri, "sample")
    assert f"--allowed-hosts 'tracking.example:{mlflow_server.port}," in str(caught.value)
    assert "MLFLOW_TRACKING_USERNAME" not in str(caught.value)
    assert "planted" not in str(caught.value)
    [check] = [check for check in diagnose(uri, None, {}) if check.name == "tracking"]
    assert (check.status, "--allowed-hosts" in check.detail) == ("fail", True)


@contextmanager
def web_server(body: bytes) -> Iterator[str]:
    """Run a web server that is not MLflow and answers every request with the same page."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  the base class's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"OK", b'{"status": "ok"}', b"[]"])
def test_a_web_server_is_not_taken_for_mlflow(body: bytes) -> None:
    with web_server(body) as uri:
        [check] = [check for check in diagnose(uri, None, {}) if check.name == "tracking"]
        assert check.status == "fail"
        assert "no MLflow answers" in check.detail
        with pytest.raises(TrackingUnreachable, match="no MLflow answers"):
            prepare(uri, "sample")


def test_a_server_of_mlflow_is_found_to_answer(mlflow_server: MlflowServer) -> None:
    [check] = [check for check in diagnose(mlflow_server.uri, None, {}) if check.name == "tracking"]
    assert (check.status, check.detail) == ("ok", f"{mlflow_server.uri}: answers")
