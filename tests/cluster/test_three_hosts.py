"""A sweep with workers on several hosts, and its results under faults: see `tests.cluster.chaos`."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from harness.events import EpochEnded, TrialEnded, TrialStarted
from harness.schema import Outcome
from harness.tracking.results import SweepResults
from tests.cluster.chaos import KINDS, LIMIT_S, ChaosRun
from tests.cluster.cluster import NODES, STORE, Sweep, TestCluster

pytestmark = pytest.mark.cluster


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much trains while faults are caused. Their kinds and their number are the same in every size."""

    seeds: int
    epochs: int
    pause_epochs: tuple[int, int]

    @property
    def trials(self) -> int:
        """Number of trials: three networks, each on one worker and on two."""
        return 2 * 3 * self.seeds


FULL = Size(seeds=5, epochs=5, pause_epochs=(2, 12))
"""Size of `make chaos`, which sets CHAOS_SEEDS."""
SHORT = Size(seeds=3, epochs=4, pause_epochs=(1, 5))
"""Size in the test suite."""
SIZE = FULL if "CHAOS_SEEDS" in os.environ else SHORT
SEEDS_OF_CHAOS = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1").split()]
"""Seeds from which the faults are drawn; each is a test."""
FAULTS = 10
STEPS_PER_EPOCH = 1442 // 64
"""Steps of an epoch of the recipe `quick` on digits: images over batch size."""
CHECKPOINT_STEPS = 9
WORKLOAD = f"""\
name: NAME
description: Three kinds of network on one worker, and on two that are on two hosts.
dataset: digits
matrix: {{model: resnet_cifar, depth: 8, shortcut: [plain, A, B], width: 8}}
recipe: {{name: quick, epochs: {SIZE.epochs}}}
scale: {{workers: [1, 2], placement: spread}}
seeds: {SIZE.seeds}
checkpoint_every_steps: {CHECKPOINT_STEPS}
"""


@dataclass(frozen=True, kw_only=True)
class Undisturbed:
    """The sweep on three hosts without faults."""

    sweep: Sweep
    results: SweepResults
    took_s: float


@pytest.fixture(scope="module")
def undisturbed(cluster: TestCluster) -> Undisturbed:
    """Run the sweep once without faults, to compare with."""
    sweep = cluster.sweep(WORKLOAD.replace("NAME", "undisturbed"))
    chaos = ChaosRun(cluster=cluster, sweep=sweep, seed=0, pause_epochs=SIZE.pause_epochs)
    chaos.run(0)
    assert chaos.codes == [0]
    return Undisturbed(sweep=sweep, results=sweep.results(), took_s=chaos.took_s)


def timeless(results: SweepResults) -> pd.DataFrame:
    """Return the columns that must not depend on where a trial ran, how often, or how fast."""
    table = results.trials.set_index("trial_id").sort_index()
    return table[[column for column in table if column == "outcome" or column.startswith(("final/", "model/"))]]


def curves(results: SweepResults) -> pd.DataFrame:
    """Return every series that does not measure time: trial, key, epoch -> value."""
    table = results.curves[~results.curves["key"].str.startswith(("time/", "throughput/"))]
    return table.set_index(["trial_id", "key", "epoch"]).sort_index()


def check_whole(sweep: Sweep, results: SweepResults) -> None:
    """Check that every trial ended exactly once, with one run each in MLflow, none of them still running."""
    final = [event for event in sweep.events() if isinstance(event, TrialEnded) and event.final]
    assert {event.outcome for event in final} == {Outcome.FINISHED}
    assert len(final) == len({event.trial_id for event in final}) == SIZE.trials
    client = MlflowClient(sweep.cluster.database)
    experiment = client.get_experiment_by_name(sweep.name)
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    children = [run.data.tags["harness.trial_id"] for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(children) == len(set(children)) == SIZE.trials
    assert len(runs) == SIZE.trials + 1
    epochs = results.curves.groupby(["trial_id", "key"])["epoch"].apply(tuple)
    assert set(epochs) == {tuple(range(1, SIZE.epochs + 1))}
    assert epochs.index.get_level_values("trial_id").nunique() == SIZE.trials


def repeated_epochs(sweep: Sweep) -> int:
    """Return how often an epoch was trained again."""
    ended = [(event.trial_id, event.epoch) for event in sweep.events() if isinstance(event, EpochEnded)]
    return len(ended) - len(set(ended))


def check_repeats(sweep: Sweep) -> None:
    """Check that an attempt repeats at most one checkpoint interval of the progress reported before."""
    reported: dict[str, float] = {}
    """Trial -> epochs done, as last reported."""
    for event in sweep.events():
        if isinstance(event, TrialStarted):
            resumed = event.resumed_epoch or 0.0
            repeated = (reported.get(event.trial_id, resumed) - resumed) * STEPS_PER_EPOCH
            assert repeated <= CHECKPOINT_STEPS + 1e-6, f"{event}: {repeated:g} steps repeated"
            reported[event.trial_id] = resumed
        elif isinstance(event, EpochEnded):
            reported[event.trial_id] = event.epoch


def test_workers_on_two_hosts_train_one_trial_and_their_hosts_are_recorded(undisturbed: Undisturbed) -> None:
    check_whole(undisturbed.sweep, undisturbed.results)
    table = undisturbed.results.trials
    one, two = table[table["scale.workers"] == 1], table[table["scale.workers"] == 2]
    assert len(one) == len(two) == SIZE.trials / 2
    assert set(one["group.world_size"].astype(int)) == {1}
    assert set(two["group.world_size"].astype(int)) == {2}
    assert set(two["group.nodes"].astype(int)) == {2}
    assert all(layout.count("node") == 2 and " 0" in layout and " 1" in layout for layout in two["group.layout"])
    assert set(" ".join(table["host.names"]).split()) <= set(NODES)
    assert (table["attempt"].astype(int) == 1).all()


def test_two_workers_on_two_hosts_give_the_numbers_of_two_on_one(
    undisturbed: Undisturbed, cluster: TestCluster
) -> None:
    text = WORKLOAD.replace("NAME", "together").replace("[1, 2]", "2").replace(f"seeds: {SIZE.seeds}", "seeds: 1")
    sweep = cluster.sweep(text)
    options = ["--storage", str(sweep.storage), "--no-report"]
    # A host that is not in the cluster starts a Ray of its own.
    cluster.harness("run", str(cluster.folder / "together.yaml"), *options, host=cluster.hosts.by_name[STORE])
    together = sweep.results()
    assert set(together.trials["group.nodes"].astype(int)) == {1}
    apart = timeless(undisturbed.results)
    pd.testing.assert_frame_equal(timeless(together), apart.loc[sorted(together.trials["trial_id"])])


@pytest.mark.timeout(LIMIT_S + 300)
@pytest.mark.parametrize("seed", SEEDS_OF_CHAOS)
def test_whatever_dies_every_trial_is_finished_once_with_the_same_numbers(
    cluster: TestCluster, undisturbed: Undisturbed, seed: int, measured: list[str]
) -> None:
    sweep = cluster.sweep(WORKLOAD.replace("NAME", f"chaos-{seed}"))
    chaos = ChaosRun(
        cluster=cluster,
        sweep=sweep,
        seed=seed,
        pause_epochs=SIZE.pause_epochs,
        arguments=("--max-attempts", "50"),
    )
    try:
        chaos.run(FAULTS)
    finally:
        measured.append(table_of(chaos, undisturbed.took_s))
    assert set(chaos.by_kind) == set(KINDS)
    results = sweep.results()
    check_whole(sweep, results)
    check_repeats(sweep)
    pd.testing.assert_frame_equal(timeless(results), timeless(undisturbed.results))
    pd.testing.assert_frame_equal(curves(results), curves(undisturbed.results))


def table_of(chaos: ChaosRun, undisturbed_s: float) -> str:
    """Return a table of the faults and their cost."""
    attempts = sum(isinstance(event, TrialStarted) for event in chaos.sweep.events())
    rows = [
        ("seed", chaos.seed),
        *((f"faults: {kind}", chaos.by_kind[kind]) for kind in KINDS),
        ("drivers", " ".join(map(str, chaos.codes))),
        ("trials", SIZE.trials),
        ("attempts", attempts),
        ("epochs repeated", f"{repeated_epochs(chaos.sweep)} of {SIZE.trials * SIZE.epochs}"),
        ("undisturbed", f"{undisturbed_s:.0f} s"),
        ("disturbed", f"{chaos.took_s:.0f} s, {chaos.took_s - undisturbed_s:+.0f} s"),
    ]
    faults = (f"  {fault.after_s:5.1f} s  {fault.kind:8} {fault.what}" for fault in chaos.faults)
    return "\n".join(["sweep during faults", *(f"  {name:16} {value}" for name, value in rows), *faults])
