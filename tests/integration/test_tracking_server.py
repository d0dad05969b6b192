"""Events from the outbox into an MLflow server and back, also where the server is killed and started again."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.events import Monitored
from harness.tracking.prepare import prepare
from harness.tracking.results import load_sweep
from harness.tracking.sample import trial_id
from tests.support.mlflow_server import MlflowServer
from tests.support.tracked_sweep import NOT_MINUTES_S, SAMPLE, NewSweep, check_nan_and_infinity, essence
from tests.support.waiting import wait_until

pytestmark = pytest.mark.integration


def busy_for_an_hour(index: int) -> Monitored:
    """Return an hour of a trial's processor use, one point for every ten seconds."""
    start_ms, key = SAMPLE.start_ms, "system/cpu_utilization_percentage"
    points = ({"time_ms": start_ms + 10_000 * (n + 1), "step": n, "values": {key: n % 101}} for n in range(360))
    return Monitored(trial_id=trial_id(index), attempt=1, points=tuple(points), time_ms=start_ms)


def test_a_sweep_comes_back_from_a_server_as_from_a_file(
    mlflow_server: MlflowServer, database: Path, new_sweep: NewSweep
) -> None:
    frames = []
    for uri in ("sqlite:///mlflow.db", mlflow_server.uri):
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


def test_nan_and_infinity_come_back_from_a_server(mlflow_server: MlflowServer, new_sweep: NewSweep) -> None:
    check_nan_and_infinity(mlflow_server.uri, new_sweep)


def test_a_server_killed_in_mid_stream_loses_nothing_and_holds_nobody_up(
    mlflow_server: MlflowServer, database: Path, new_sweep: NewSweep
) -> None:
    sample = replace(SAMPLE, trials=6, experiment="killed", name="killed")
    *most, before_last, last = sample.events()
    sweep = new_sweep(sample)
    recorder = sweep.recorder(mlflow_server.uri)
    recorder.run_in_background(interval=0.05)
    for number, event in enumerate(most):
        sweep.write(event)
        if number == len(most) // 2:
            wait_until(lambda: recorder.progress().sent > 0, "an event is sent")
            mlflow_server.kill()
    try:
        wait_until(lambda: recorder.progress().error is not None, "the recorder notices")
        began = time.monotonic()
        away = recorder.close(timeout=20)
        assert time.monotonic() - began < NOT_MINUTES_S
        assert away.waiting > 0
        assert "no MLflow answers" in str(away.error)
        sweep.write(before_last, last)
    finally:
        mlflow_server.start()
    after = sweep.recorder(mlflow_server.uri).forward()
    assert (after.waiting, after.error) == (0, None)

    assert sweep.recorder(f"sqlite:///{database}").forward().waiting == 0
    assert essence(mlflow_server.database, "killed") == essence(database, "killed")
    assert len(essence(database, "killed")["runs"]) == 7
