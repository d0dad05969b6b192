"""Faults of a cluster as a user meets them: before a sweep starts, while it runs, and afterwards."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from subprocess import Popen

import psutil
import pytest
from mlflow.tracking import MlflowClient

from harness.events import EpochEnded, Event, TrialEnded, TrialStarted
from harness.scheduling.node_quarantine import LOSSES_IN_A_ROW
from harness.schema import Outcome
from tests.cluster.chaos import training_workers
from tests.cluster.cluster import NODES, Sweep, TestCluster, first_child
from tests.support.leaks import command_lines, files_with
from tests.support.waiting import wait_until

pytestmark = pytest.mark.cluster

SHORT = """\
name: NAME
dataset: digits
matrix: {model: resnet_cifar, depth: 8, width: 4}
recipe: {name: quick, epochs: 1}
seeds: 1
"""
LONG = """\
name: NAME
dataset: digits
matrix: {model: resnet_cifar, depth: 8, shortcut: [plain, A], width: 8}
recipe: {name: quick, epochs: EPOCHS}
seeds: 1
checkpoint_every_steps: 20
"""
STOP_S = 10.0
"""Seconds within which a stopped sweep ends, as promised."""
SLOW = 6.0
"""Factor by which a stop may take longer here, where three hosts and a tracking server share a machine's cores."""


def statuses(sweep: Sweep) -> set[str]:
    """Return the statuses of all runs of a sweep in MLflow."""
    client = MlflowClient(sweep.cluster.database)
    experiment = client.get_experiment_by_name(sweep.name)
    if experiment is None:
        return set()
    return {run.info.status for run in client.search_runs([experiment.experiment_id], max_results=100)}


def epochs_of(sweep: Sweep) -> int:
    return sum(isinstance(event, EpochEnded) for event in sweep.events())


def training(sweep: Sweep, driver: Popen[str], more: int = 1) -> None:
    """Wait until this many more epochs have ended."""
    before = epochs_of(sweep)

    def so_many() -> bool:
        assert driver.poll() is None, f"it ended; its output:\n{sweep.output[-2000:]}"
        return epochs_of(sweep) >= before + more

    wait_until(so_many, f"{more} epochs; its output:\n{sweep.output[-2000:]}")


@contextlib.contextmanager
def own_folder(cluster: TestCluster, sweep: Sweep, name: str) -> Iterator[None]:
    """Give a host a disk of its own in place of the shared folder while the context lasts."""
    host = cluster.hosts.by_name[name]
    sweep.storage.mkdir(parents=True, exist_ok=True)
    host.run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(sweep.storage))
    try:
        yield
    finally:
        host.run("umount", str(sweep.storage))


# --- before anything starts -------------------------------------------------------------------------------------------


def test_a_node_that_has_another_storage_folder_is_named_before_anything_starts(cluster: TestCluster) -> None:
    sweep = cluster.sweep(SHORT.replace("NAME", "apart"))
    with own_folder(cluster, sweep, "node3"):
        output = sweep.run(expect=2)
    assert "node node3 (" in output
    assert "--storage must be a folder that every node sees at this path" in output
    assert "node1" not in output.replace(str(cluster.folder), "")
    assert "Traceback" not in output
    assert not any(isinstance(event, TrialStarted) for event in sweep.events())


def test_a_node_with_other_versions_is_named_before_anything_starts(cluster: TestCluster) -> None:
    """The node's raylet finds the record of another torch first, as on a node with an older image."""
    older = cluster.folder / "older" / "torch-1.2.3.dist-info"
    older.mkdir(parents=True, exist_ok=True)
    (older / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.2.3\n")
    sweep = cluster.sweep(SHORT.replace("NAME", "versions"))
    path = cluster.environment()["PYTHONPATH"]
    with cluster.changed_node("node2", PYTHONPATH=f"{older.parent}:{path}"):
        output = sweep.run(expect=3)
    assert "node node2 (" in output
    assert "torch is 1.2.3, on the driver's node" in output
    assert "node3" not in output
    assert not any(isinstance(event, TrialStarted) for event in sweep.events())


def test_a_tracking_server_that_is_away_is_noticed_before_anything_starts(cluster: TestCluster) -> None:
    sweep = cluster.sweep(SHORT.replace("NAME", "untracked"))
    cluster.stop_tracking()
    try:
        output = sweep.run(expect=4)
    finally:
        cluster.start_tracking()
    assert cluster.tracking_uri in output
    assert "Traceback" not in output
    assert sweep.events() == []


def test_a_cluster_that_is_not_there_and_one_that_wants_a_token_explain_themselves(cluster: TestCluster) -> None:
    sweep = cluster.sweep(SHORT.replace("NAME", "nowhere"))
    nowhere = cluster.harness(*sweep.command("--address", f"{cluster.head.address}:6999"), expect=4)
    assert f"no Ray cluster answers at {cluster.head.address}:6999" in nowhere
    strange = cluster.folder / "strange-token"
    strange.write_text("0" * 64)
    refused = cluster.harness(*sweep.command(), expect=4, RAY_AUTH_TOKEN_PATH=str(strange))
    assert "Traceback" not in refused
    assert "token" in refused
    assert cluster.token not in nowhere + refused


@pytest.fixture(scope="module")
def partly_feasible(cluster: TestCluster) -> Sweep:
    """Run a sweep with one trial that fits the cluster and one that does not."""
    sweep = cluster.sweep(SHORT.replace("NAME", "some") + "scale: {workers: [1, 8]}\n")
    sweep.run(expect=1)
    return sweep


def test_where_no_trial_fits_nothing_starts_and_where_some_fit_they_run(
    cluster: TestCluster, partly_feasible: Sweep
) -> None:
    wide = cluster.sweep(SHORT.replace("NAME", "wide") + "scale: {workers: 8}\n")
    output = wide.run(expect=3)
    assert "8 workers" in output
    assert not any(isinstance(event, TrialStarted) for event in wide.events())
    ends = sorted(event.outcome for event in partly_feasible.events() if isinstance(event, TrialEnded))
    assert ends == sorted([Outcome.FINISHED, Outcome.INFEASIBLE])


# --- while it runs, and afterwards ------------------------------------------------------------------------------------


def test_one_driver_a_sweep_and_a_dead_ones_runs_are_closed_by_sync(cluster: TestCluster) -> None:
    sweep = cluster.sweep(LONG.replace("NAME", "driven").replace("EPOCHS", "4000"))
    driver = sweep.launch()
    training(sweep, driver)
    assert "another driver runs this sweep: process " in (second := sweep.run(expect=2))
    assert f" on {NODES[0]}; wait for it or stop it first" in second
    first_child(driver).kill()
    driver.wait()
    assert statuses(sweep) == {"RUNNING"}
    cluster.harness("sync", str(sweep.storage))
    assert statuses(sweep) == {"KILLED"}


def test_a_stopped_sweep_ends_in_time_with_its_checkpoints_and_no_run_running(
    cluster: TestCluster, measured: list[str]
) -> None:
    sweep = cluster.sweep(LONG.replace("NAME", "stopped").replace("EPOCHS", "4000"))
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 5)):
        driver = sweep.launch()
        training(sweep, driver)
        first_child(driver).send_signal(number)
        closed_s = wait_until(lambda: "RUNNING" not in statuses(sweep), "runs are closed")
        began = time.monotonic()
        assert driver.wait(timeout=120) == code, sweep.output[-3000:]
        ended_s = closed_s + time.monotonic() - began
        measured.append(
            f"stop by {number.name} on three hosts: runs closed after {closed_s:.1f} s, "
            f"the command back after {ended_s:.1f} s (promised: {STOP_S:g} s), n = 1"
        )
        assert statuses(sweep) == {"KILLED"}
        assert ended_s < SLOW * STOP_S
    assert list(sweep.storage.rglob("*.checkpoint")), "no checkpoint was kept"
    resumed = [event.resumed_epoch for event in sweep.events() if isinstance(event, TrialStarted)]
    assert any(resumed), "the second driver began anew"


def began_on(event: Event, node: str) -> bool:
    return isinstance(event, TrialStarted) and event.tags["host.names"] == node


def test_a_node_on_which_every_worker_dies_is_left_alone_and_the_trials_finish_elsewhere(cluster: TestCluster) -> None:
    text = LONG.replace("NAME", "broken").replace("EPOCHS", "40").replace("seeds: 1", "seeds: 6")
    sweep = cluster.sweep(text)
    driver = sweep.launch("--max-attempts", "5")
    hit: set[tuple[str, int]] = set()
    while driver.poll() is None:
        begun = {(event.trial_id, event.attempt) for event in sweep.events() if began_on(event, "node3")}
        for worker in training_workers(cluster, "node3") if begun - hit else ():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
        hit |= begun
        time.sleep(0.2)
    assert driver.returncode == 0, sweep.output[-3000:]
    assert len(hit) == LOSSES_IN_A_ROW
    assert {event.outcome for event in sweep.events() if isinstance(event, TrialEnded) and event.final} == {
        Outcome.FINISHED
    }
    assert set(" ".join(sweep.results().trials["host.names"]).split()) == {"node1", "node2"}


def test_when_the_head_dies_the_driver_says_so_and_the_same_command_goes_on(cluster: TestCluster) -> None:
    """The driver is on another host; otherwise it would die with the head."""
    sweep = cluster.sweep(LONG.replace("NAME", "headless").replace("EPOCHS", "120"))
    driver = sweep.launch(host=cluster.hosts.by_name["node2"])
    training(sweep, driver, 3)
    cluster.head.end_processes()
    try:
        assert driver.wait(timeout=400) == 4, sweep.output[-3000:]
        assert "run the same command to go on" in sweep.output
        assert "RUNNING" not in statuses(sweep), "a run was left running"
    finally:
        for name in NODES[1:]:
            cluster.hosts.by_name[name].end_processes()
        cluster.start_nodes()
    sweep.run()
    assert statuses(sweep) == {"FINISHED"}
    ends = [event for event in sweep.events() if isinstance(event, TrialEnded)]
    finished = [event.trial_id for event in ends if event.outcome is Outcome.FINISHED]
    assert len(finished) == len(set(finished)) == 2, "a trial that finished was run again"


@pytest.mark.usefixtures("partly_feasible")
def test_no_process_holds_a_secret_in_its_command_line_and_no_file_has_it(cluster: TestCluster) -> None:
    """The files that Ray and MLflow wrote are in the hosts' folders."""
    lines = command_lines(process for host in cluster.hosts.by_name.values() for process in host.processes())
    assert any("raylet" in line for line in lines)
    assert not any(cluster.token in line for line in lines)
    kinds = {path.suffix for path in cluster.folder.rglob("*") if path.is_file()}
    assert kinds >= {".log", ".out", ".err", ".db", ".jsonl"}, "what Ray, MLflow and the sweeps wrote"
    assert files_with(cluster.token, cluster.folder) == [cluster.token_file]
