"""Measurements of a machine are shown although MLflow does not take them."""

from __future__ import annotations

import json

import pytest

from harness.errors import ExitCode, TrackingUnreachable
from harness.launch import bench
from tests.unit.cli.conftest import Harness


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_what_was_measured_is_shown_before_the_error_of_mlflow(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    measurement = {"label": "Copies", "median": 4.0, "low": 2.0, "high": 6.0, "n": 3, "unit": "B/s"}
    tags = {"device.name": "Abacus 9", "group.nodes": "1"}
    measured = {"workers": 1, "launcher": "inline", "tags": tags, "measurements": [measurement]}

    def away(*_: object) -> str:
        raise TrackingUnreachable("no MLflow answers at http://tracking.example")

    monkeypatch.setattr(bench, "_measured", lambda _options: measured)
    monkeypatch.setattr(bench, "_recorded", away)
    monkeypatch.setattr("harness.tracking.prepare.prepare", lambda *_: None)
    done = harness("bench", "--launcher", "inline", "--tracking-uri", "http://tracking.example", *flags)
    assert done.code == ExitCode.UNREACHABLE
    assert "no MLflow answers" in done.err
    if flags:
        assert (json.loads(done.out)["measurements"], json.loads(done.out)["run_id"]) == ([measurement], None)
    else:
        assert "Abacus 9" in done.out
