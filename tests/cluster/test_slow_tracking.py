"""A tracking server that takes 2 s for every call: the sweep is recorded late but trains as fast as with a fast one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.events import EpochEnded, TrialEnded, TrialStarted
from tests.cluster.cluster import Sweep, TestCluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster

DELAY_S = 2.0
PORT = 5900
WORKLOAD = """\
name: NAME
dataset: digits
matrix: {model: resnet_cifar, depth: 8, shortcut: [plain, A], width: 8}
recipe: {name: quick, epochs: 16}
seeds: 1
"""


def run_without_ray(cluster: TestCluster, name: str, tracking_uri: str) -> Sweep:
    """Run a sweep with training and recording in one process, where one could most easily wait for the other."""
    sweep = cluster.sweep(WORKLOAD.replace("NAME", name))
    options = ["--storage", str(sweep.storage), "--launcher", "inline", "--no-report", "--tracking-uri", tracking_uri]
    cluster.harness("run", str(cluster.folder / f"{name}.yaml"), *options)
    return sweep


def seconds_in_trials(sweep: Sweep) -> float:
    """Return the seconds from each trial's start to its end, summed."""
    started = {event.trial_id: event.time_ms for event in sweep.events() if isinstance(event, TrialStarted)}
    ended = {event.trial_id: event.time_ms for event in sweep.events() if isinstance(event, TrialEnded)}
    return sum(ended[trial_id] - started[trial_id] for trial_id in ended) / 1000


def calls(log: Path) -> list[tuple[int, int]]:
    """Return the times at which each call came and was answered, in ms."""
    lines = log.read_text().splitlines()
    return [(int(came), int(answered)) for came, answered in map(str.split, lines)]


def test_training_never_waits_for_a_slow_tracking_server(cluster: TestCluster, measured: list[str]) -> None:
    log = cluster.folder / "slow.log"
    arguments = [str(PORT), cluster.tracking_uri, str(DELAY_S), str(log)]
    proxy = cluster.launch(cluster.head, [sys.executable, "-m", "tests.cluster.slow_proxy", *arguments], log="slow.log")
    wait_until(log.exists, "the proxy listens")
    quick = run_without_ray(cluster, "quick", cluster.tracking_uri)
    slow = run_without_ray(cluster, "slow", f"http://127.0.0.1:{PORT}")
    proxy.kill()

    delays = calls(log)
    assert min(answered - came for came, answered in delays) >= 1000 * DELAY_S
    moments = [event.time_ms for event in slow.events() if isinstance(event, EpochEnded | TrialEnded)]
    meanwhile = sum(any(came < moment < answered for came, answered in delays) for moment in moments)
    # If training waited for the calls that its events cause, no event would happen during a call.
    assert meanwhile > len(moments) / 2
    assert set(slow.results().trials["outcome"]) == {"finished"}
    ratio = seconds_in_trials(slow) / seconds_in_trials(quick)
    measured.append(
        f"tracking server that takes {DELAY_S:g} s a call ({len(delays)} calls): "
        f"{100 * (ratio - 1):+.1f} % time in 2 trials, n = 1"
    )
