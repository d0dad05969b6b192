"""Events from the outbox into a real MLflow store and back: SQLite, and a server that is killed and started again."""

from __future__ import annotations

import http.server
import json
import math
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import mlflow.data
import pytest
from mlflow.tracking import MlflowClient

from harness.errors import SweepNotFound, TrackingUnreachable, UsageError
from harness.events import EpochEnded, Event, Monitored, SweepEnded, TrialEnded, TrialStarted
from harness.schema import Outcome
from harness.storage import SweepFolder
from harness.tracking.outbox import Outbox
from harness.tracking.prepare import prepare
from harness.tracking.recorder import Recorder
from harness.tracking.results import finished_trials, list_sweeps, load_sweep, log_report
from harness.tracking.sample import Sample, trial_id
from harness.tracking.tracker import RejectedError

pytestmark = [
    pytest.mark.integration,
]

NOT_MINUTES_S = 60
"""Limit in seconds. MLflow's own settings wait four minutes, ours give up within seconds; a busy machine needs more."""

SAMPLE = Sample(trials=4, epochs=3, files=("steps.csv",))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make MLflow's tables without content once: making them takes seconds, copying them does not."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    prepare(f"sqlite:///{path}", "Default")
    return path


@pytest.fixture
def database(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the database for one test into the current folder, where MLflow also puts local artifacts."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(empty_database, tmp_path / "mlflow.db"))


@dataclass
class Sweep:
    """A sweep's folder and its outbox."""

    folder: SweepFolder
    outbox: Outbox

    def write(self, *events: Event) -> None:
        for event in events:
            self.outbox.append(event)

    def recorder(self, uri: str) -> Recorder:
        return Recorder(self.outbox, self.folder.cursor, uri, self.folder)


@pytest.fixture
def new_sweep(tmp_path: Path) -> Callable[[Sample], Sweep]:
    def make(sample: Sample) -> Sweep:
        folder = SweepFolder(tmp_path / "runs" / sample.name)
        folder.make()
        for index in range(sample.trials):
            folder.trial(trial_id(index)).mkdir(parents=True)
            (folder.trial(trial_id(index)) / "steps.csv").write_text("step,ms\n1,2.5\n2,2.25\n")
        return Sweep(folder, Outbox(folder.outbox))

    return make


def essence(database: Path, experiment: str = "sample") -> dict[str, list[object]]:
    """Return the store's whole content of an experiment, with names in place of MLflow's random ids."""
    with closing(sqlite3.connect(database)) as connection:

        def rows(query: str) -> list[tuple[object, ...]]:
            return connection.execute(query, (experiment,)).fetchall()

        its_runs = "(select run_uuid from runs join experiments using (experiment_id) where experiments.name = ?)"
        name = {
            run_id: f"run {run}"
            for run_id, run in rows(f"select run_uuid, name from runs where run_uuid in {its_runs}")
        }
        tables = {
            "runs": "run_uuid, status, start_time, end_time, lifecycle_stage",
            "metrics": "run_uuid, key, value, timestamp, step, is_nan",
            "latest_metrics": "run_uuid, key, value, timestamp, step, is_nan",
            "params": "run_uuid, key, value",
            "tags": "run_uuid, key, value",
        }
        inputs = (
            "select destination_id, name, digest, dataset_source_type, dataset_source, dataset_profile "
            f"from inputs join datasets on source_id = dataset_uuid where destination_id in {its_runs}"
        )
        named_inputs = sorted(tuple(name.get(str(value), value) for value in row) for row in rows(inputs))
        return {"inputs": named_inputs} | {
            table: sorted(
                tuple(name.get(str(value), value) for value in row)
                for row in rows(f"select {columns} from {table} where run_uuid in {its_runs}")
            )
            for table, columns in tables.items()
        }


# SQLite


def test_a_sweep_comes_back_as_it_was_sent(database: Path, new_sweep: Callable[[Sample], Sweep]) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    progress = sweep.recorder("sqlite:///mlflow.db").forward()
    assert (progress.waiting, progress.error, progress.problems) == (0, None, ())

    found = load_sweep("sqlite:///mlflow.db")
    assert (found.sweep_id, found.name, found.experiment) == ("5a3b1e00", "sample-1", "sample")
    assert (found.status, found.started_ms, found.ended_ms) == ("finished", 1_700_000_000_000, 1_700_000_010_001)
    assert (found.description, found.workload_text) == ("An **invented** sweep.", "name: sample\n")
    assert found.plan == {"trials": 4}
    assert found.environment["git_dirty"] is False

    assert list(found.trials["trial_id"]) == [trial_id(index) for index in range(4)]
    assert list(found.trials["outcome"]) == ["finished"] * 4
    assert list(found.trials["model.depth"]) == [8, 8, 8, 14]
    assert list(found.trials["final/test_error_pct"]) == [10.0, 11.0, 12.0, 13.0]
    assert list(found.trials["device.name"]) == ["Abacus 9"] * 4

    one = found.curves[(found.curves["trial_id"] == trial_id(1)) & (found.curves["key"] == "train/error_pct")]
    assert list(one["epoch"]) == [1, 2, 3]
    assert list(one["value"]) == [46.0, 31.0, 23.5]
    assert len(found.curves) == 4 * 3 * 6
    assert len(list(database.parent.glob("mlruns/*/*/artifacts/steps.parquet"))) == 4


def test_mlflow_shows_the_data_set_of_each_run_and_can_read_its_source(
    database: Path, new_sweep: Callable[[Sample], Sweep]
) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    sweep.recorder("sqlite:///mlflow.db").forward()
    client = MlflowClient("sqlite:///mlflow.db")
    for run_id in load_sweep("sqlite:///mlflow.db").trials["run_id"]:
        [found] = client.get_run(run_id).inputs.dataset_inputs
        assert (found.dataset.name, found.dataset.digest) == ("digits", "0123456789ab")
        assert json.loads(found.dataset.profile)["train_images"] == 1442
        assert mlflow.data.get_source(found).to_dict() == {"tags": {}}
        assert [(tag.key, tag.value) for tag in found.tags] == [("mlflow.data.context", "training and test")]


def test_sending_from_the_start_again_changes_nothing(database: Path, new_sweep: Callable[[Sample], Sweep]) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    recorder = sweep.recorder("sqlite:///mlflow.db")
    recorder.forward()
    before = essence(database)
    recorder.rewind()
    assert recorder.forward().error is None
    assert essence(database) == before


def test_a_crash_between_sending_and_the_cursor_changes_nothing(
    database: Path, new_sweep: Callable[[Sample], Sweep], tmp_path: Path
) -> None:
    events = list(SAMPLE.events())
    calm = new_sweep(SAMPLE)
    calm.write(*events)
    calm.recorder("sqlite:///mlflow.db").forward()
    expected = essence(database)

    other = Path(shutil.copy(database, tmp_path / "other.db"))
    with closing(sqlite3.connect(other)) as connection:
        for table in ("latest_metrics", "metrics", "params", "tags", "runs"):
            connection.execute(f"delete from {table}")
        connection.commit()
    calm.folder.outbox.unlink()
    calm.folder.cursor.unlink()
    crashing = Sweep(calm.folder, Outbox(calm.folder.outbox))
    for number, event in enumerate(events):
        crashing.write(event)
        kept = calm.folder.cursor.read_bytes() if calm.folder.cursor.exists() else None
        assert crashing.recorder(f"sqlite:///{other}").forward().error is None
        if number % 3 == 0 and kept is not None:
            calm.folder.cursor.write_bytes(kept)  # sent, but the cursor was not written
    crashing.recorder(f"sqlite:///{other}").forward()
    assert essence(other) == expected


def test_nan_and_infinity_come_back(database: Path, new_sweep: Callable[[Sample], Sweep]) -> None:
    check_nan_and_infinity("sqlite:///mlflow.db", new_sweep)


def check_nan_and_infinity(uri: str, new_sweep: Callable[[Sample], Sweep]) -> None:
    sample = Sample(trials=1, name="diverging", sweep_id="d1")
    sweep = new_sweep(sample)
    values = {"train/loss": math.nan, "test/loss": math.inf}
    sweep.write(
        sample.started(),
        TrialStarted(trial_id=trial_id(0), attempt=1, tags={}, time_ms=1),
        EpochEnded(trial_id=trial_id(0), attempt=1, epoch=1, values=values, time_ms=2),
        TrialEnded(
            trial_id=trial_id(0),
            attempt=1,
            outcome=Outcome.DIVERGED,
            results={"final/train_loss": math.nan, "final/test_loss": math.inf},
            time_ms=3,
        ),
    )
    recorder = sweep.recorder(uri)
    assert recorder.forward().error is None
    recorder.rewind()
    assert recorder.forward().error is None
    found = load_sweep(uri, "diverging")
    row = found.trials.iloc[0]
    assert row["outcome"] == "diverged"
    assert math.isnan(row["final/train_loss"])
    assert row["final/test_loss"] == math.inf
    assert [str(value) for value in found.curves["value"]] == ["inf", "nan"]


def test_an_epoch_that_ran_again_after_a_resume_counts_once(
    database: Path, new_sweep: Callable[[Sample], Sweep]
) -> None:
    sample = Sample(trials=1)
    sweep = new_sweep(sample)
    first = sample.epoch(0, 1)
    again = replace(first, attempt=2, values={"test/loss": 0.25}, time_ms=first.time_ms + 5_000)
    sweep.write(sample.started(), TrialStarted(trial_id=first.trial_id, attempt=1, tags={}, time_ms=1), first, again)
    sweep.recorder("sqlite:///mlflow.db").forward()
    curves = load_sweep("sqlite:///mlflow.db").curves
    assert list(curves[curves["key"] == "test/loss"]["value"]) == [0.25]


def test_what_an_earlier_sweep_finished_is_found_and_used(database: Path, new_sweep: Callable[[Sample], Sweep]) -> None:
    uri = "sqlite:///mlflow.db"
    assert finished_trials(uri, "sample", [trial_id(0)]) == {}
    for name, sweep_id, start_ms in (("old", "0001", 1_000_000), ("new", "0002", 2_000_000)):
        sample = Sample(trials=2, name=name, sweep_id=sweep_id, start_ms=start_ms)
        sweep = new_sweep(sample)
        sweep.write(*sample.events())
        sweep.recorder(uri).forward()
    newest = load_sweep(uri, "new").trials.set_index("trial_id")["run_id"].to_dict()
    assert finished_trials(uri, "sample", [*newest, trial_id(7)]) == newest

    third = Sample(trials=4, name="third", sweep_id="0003", start_ms=3_000_000)
    sweep = new_sweep(third)
    sweep.write(
        replace(third.started(), reused={**newest, trial_id(3): "0" * 32}),
        TrialStarted(trial_id=trial_id(2), attempt=1, tags={}, time_ms=1),
        TrialEnded(trial_id=trial_id(2), attempt=1, outcome=Outcome.FAILED, reason="worker died", time_ms=2),
        SweepEnded(status="failed", time_ms=3_900_000),
    )
    sweep.recorder(uri).forward()
    found = load_sweep(uri)
    assert found.status == "failed"
    assert list(found.trials["outcome"]) == ["finished", "finished", "failed", "missing"]
    assert list(found.trials["run_id"])[:2] == list(newest.values())
    assert list(found.trials["final/test_error_pct"])[:2] == [10.0, 11.0]
    assert set(found.curves["trial_id"]) == {trial_id(0), trial_id(1)}
    assert finished_trials(uri, "sample", [trial_id(2)]) == {}


def test_a_result_elsewhere_is_shown_in_the_place_of_a_stopped_run(
    database: Path, new_sweep: Callable[[Sample], Sweep]
) -> None:
    uri = "sqlite:///mlflow.db"
    stopped = Sample(trials=1, name="stopped", sweep_id="0001", start_ms=3_000_000)
    other = Sample(trials=1, name="other", sweep_id="0002", start_ms=2_000_000)
    sweep = new_sweep(other)
    sweep.write(*other.events())
    sweep.recorder(uri).forward()
    end = TrialEnded(trial_id=trial_id(0), attempt=1, outcome=Outcome.STOPPED, time_ms=3_000_100)
    sweep = new_sweep(stopped)
    sweep.write(stopped.started(), end, SweepEnded(status="stopped", time_ms=3_000_200))
    sweep.recorder(uri).forward()
    assert list(load_sweep(uri, "stopped").trials["outcome"]) == ["stopped"]

    reused = finished_trials(uri, "sample", [trial_id(0)])
    sweep.write(replace(stopped.started(), reused=reused), SweepEnded(status="finished", time_ms=3_000_400))
    sweep.recorder(uri).forward()
    found = load_sweep(uri, "stopped")
    assert list(found.trials["outcome"]) == ["finished"]
    assert list(found.trials["run_id"]) == list(reused.values())
    assert list(found.trials["final/test_error_pct"]) == [10.0]
    assert set(found.curves["trial_id"]) == {trial_id(0)}


def test_sweeps_are_listed_newest_first_and_found_by_any_of_their_names(
    database: Path, new_sweep: Callable[[Sample], Sweep]
) -> None:
    uri = "sqlite:///mlflow.db"
    with pytest.raises(SweepNotFound, match="holds no sweep yet"):
        load_sweep(uri)
    assert list_sweeps(uri).empty
    for name, sweep_id, start_ms in (("first", "0001", 1_000_000), ("second", "0002", 2_000_000)):
        sample = Sample(trials=1, name=name, sweep_id=sweep_id, start_ms=start_ms, experiment=f"of-{name}")
        sweep = new_sweep(sample)
        sweep.write(sample.started())
        sweep.recorder(uri).forward()
    listed = list_sweeps(uri)
    assert list(listed["name"]) == ["second", "first"]
    assert list(listed["experiment"]) == ["of-second", "of-first"]
    assert list(listed["status"]) == ["running", "running"]
    for word in ("first", "fir", "0001", listed["run_id"][1]):
        assert load_sweep(uri, word).name == "first"
    with pytest.raises(SweepNotFound, match="the nearest: second"):
        load_sweep(uri, "secnod")


def test_a_report_is_logged_to_its_sweep(database: Path, new_sweep: Callable[[Sample], Sweep], tmp_path: Path) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(SAMPLE.started())
    sweep.recorder("sqlite:///mlflow.db").forward()
    run_id = load_sweep("sqlite:///mlflow.db").run_id
    (tmp_path / "out" / "figures").mkdir(parents=True)
    (tmp_path / "out" / "index.html").write_text("<p>")
    (tmp_path / "out" / "figures" / "error.svg").write_text("<svg/>")
    log_report("sqlite:///mlflow.db", run_id, tmp_path / "out")
    [report] = tmp_path.glob(f"mlruns/*/{run_id}/artifacts/report")
    assert (report / "index.html").read_text() == "<p>"
    assert (report / "figures" / "error.svg").read_text() == "<svg/>"


def test_a_deleted_experiment_says_how_to_restore_it(database: Path, new_sweep: Callable[[Sample], Sweep]) -> None:
    uri = prepare("sqlite:///mlflow.db", "sample")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("update experiments set lifecycle_stage = 'deleted' where name = 'sample'")
        connection.commit()
    with pytest.raises(UsageError, match="mlflow experiments restore --experiment-id"):
        prepare(uri, "sample")
    sweep = new_sweep(SAMPLE)
    sweep.write(SAMPLE.started())
    progress = sweep.recorder(uri).forward()
    assert (progress.sent, progress.waiting) == (0, 1)
    assert "restore" in str(progress.error)


def test_preparing_and_recording_print_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_sweep: Callable[[Sample], Sweep]
) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    script = (
        "import sys; from pathlib import Path\n"
        "from harness.storage import SweepFolder; from harness.tracking.outbox import Outbox\n"
        "from harness.tracking.prepare import prepare; from harness.tracking.recorder import Recorder\n"
        "from harness.tracking.results import load_sweep\n"
        "uri = prepare('sqlite:///mlflow.db', 'sample'); folder = SweepFolder(Path(sys.argv[1]))\n"
        "progress = Recorder(Outbox(folder.outbox), folder.cursor, uri, folder).forward()\n"
        "assert progress.error is None, progress.error\n"
        "assert load_sweep(uri).status == 'finished'\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(sweep.folder.root)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


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


# A server


class Server:
    """`mlflow server` on loopback, with a SQLite store and proxied artifacts; its whole process group is killed."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
                *("--backend-store-uri", f"sqlite:///{self.database}", "--workers", "1"),
                *("--artifacts-destination", str(self.database.parent / "artifacts")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.database.parent,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # its job runners outlive the server
            start_new_session=True,
        )
        for _ in range(600):
            try:
                with urlopen(f"{self.uri}/health", timeout=5):
                    return
            except (URLError, OSError):
                assert self.process.poll() is None, "the server ended before it answered"
                time.sleep(0.2)
        raise AssertionError("the server did not answer")

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def server(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start one server for all tests, since a start takes seconds. Tests use names of their own."""
    server = Server(Path(shutil.copy(empty_database, tmp_path_factory.mktemp("server") / "mlflow.db")))
    server.start()
    yield server
    server.kill()


def busy_for_an_hour(index: int) -> Monitored:
    """Return an hour of a trial's processor use, one point for every ten seconds."""
    start_ms, key = SAMPLE.start_ms, "system/cpu_utilization_percentage"
    points = ({"time_ms": start_ms + 10_000 * (n + 1), "step": n, "values": {key: n % 101}} for n in range(360))
    return Monitored(trial_id=trial_id(index), attempt=1, points=tuple(points), time_ms=start_ms)


def test_a_sweep_comes_back_from_a_server_as_from_a_file(
    server: Server, database: Path, new_sweep: Callable[[Sample], Sweep]
) -> None:
    frames = []
    for uri in ("sqlite:///mlflow.db", server.uri):
        shutil.rmtree("runs", ignore_errors=True)
        sweep = new_sweep(SAMPLE)
        *events, ended = SAMPLE.events()
        sweep.write(*events, *(busy_for_an_hour(index) for index in range(SAMPLE.trials)), ended)
        assert sweep.recorder(prepare(uri, "sample")).forward().error is None
        frames.append(load_sweep(uri, "sample-1"))
    local, remote = frames
    assert local.activity.equals(remote.activity)
    assert list(local.activity["trial_id"].unique()) == [trial_id(0), trial_id(3)]  # the first of each depth
    assert len(local.activity) == 200
    assert local.curves.equals(remote.curves)
    assert local.trials.drop(columns="run_id").equals(remote.trials.drop(columns="run_id"))
    assert (local.plan, local.environment, local.ended_ms) == (remote.plan, remote.environment, remote.ended_ms)


def test_nan_and_infinity_come_back_from_a_server(server: Server, new_sweep: Callable[[Sample], Sweep]) -> None:
    check_nan_and_infinity(server.uri, new_sweep)


def test_a_server_killed_in_mid_stream_loses_nothing_and_holds_nobody_up(
    server: Server, database: Path, new_sweep: Callable[[Sample], Sweep]
) -> None:
    sample = replace(SAMPLE, trials=6, experiment="killed", name="killed")
    *most, before_last, last = sample.events()
    sweep = new_sweep(sample)
    recorder = sweep.recorder(server.uri)
    recorder.run_in_background(interval=0.05)
    for number, event in enumerate(most):
        sweep.write(event)
        if number == len(most) // 2:
            wait_until(lambda: recorder.progress().sent > 0)
            server.kill()
    try:
        wait_until(lambda: recorder.progress().error is not None)
        began = time.monotonic()
        away = recorder.close(timeout=20)
        assert time.monotonic() - began < NOT_MINUTES_S
        assert away.waiting > 0
        assert "no MLflow answers" in str(away.error)
        sweep.write(before_last, last)
    finally:
        server.start()
    after = sweep.recorder(server.uri).forward()
    assert (after.waiting, after.error) == (0, None)

    assert sweep.recorder(f"sqlite:///{database}").forward().waiting == 0
    assert essence(server.database, "killed") == essence(database, "killed")
    assert len(essence(database, "killed")["runs"]) == 7


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not happen")


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
def test_a_proxy_that_answers_for_a_server_that_is_away_means_wait(
    status: int, new_sweep: Callable[[Sample], Sweep]
) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    began = time.monotonic()
    with answering(status) as uri:
        progress = sweep.recorder(uri).forward()
    assert time.monotonic() - began < NOT_MINUTES_S
    assert (progress.sent, progress.problems) == (0, ())
    assert "no MLflow answers" in str(progress.error)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_credentials_says_which(status: int, new_sweep: Callable[[Sample], Sweep]) -> None:
    with answering(status) as uri, pytest.raises(TrackingUnreachable, match="set MLFLOW_TRACKING_USERNAME"):
        prepare(uri, "sample")


@pytest.mark.parametrize(("status", "whole"), [(413, True), (503, False)])
def test_a_file_that_is_too_large_for_a_proxy_holds_nothing_up_and_a_proxy_that_is_away_does(
    database: Path, new_sweep: Callable[[Sample], Sweep], status: int, whole: bool
) -> None:
    sweep = new_sweep(SAMPLE)
    sweep.write(*SAMPLE.events())
    with answering(status) as proxy:
        MlflowClient(f"sqlite:///{database}").create_experiment("sample", artifact_location=f"{proxy}/artifacts")
        progress = sweep.recorder("sqlite:///mlflow.db").forward()
    assert (progress.waiting == 0, progress.error is None) == (whole, whole)
    assert any("trials.json is not stored: 413" in problem for problem in progress.problems) == whole
    assert (set(list_sweeps("sqlite:///mlflow.db")["status"]) == {"finished"}) == whole


def test_an_artifact_store_that_cannot_be_used_from_here_costs_files_and_nothing_else(
    database: Path, new_sweep: Callable[[Sample], Sweep], monkeypatch: pytest.MonkeyPatch
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
