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
from tests.cluster.bed import NODES, STORE, Bed, Sweep
from tests.cluster.chaos import KINDS, LIMIT_S, Storm

pytestmark = pytest.mark.cluster

EPOCHS, SEEDS = 5, 5
STEPS_PER_EPOCH = 1442 // 64
"""Steps of an epoch of the recipe `quick` on digits: images over batch size."""
CHECKPOINT_STEPS = 9
TRIALS = 2 * 3 * SEEDS
DEATHS = 10
WORKLOAD = f"""\
name: NAME
description: Three kinds of network on one worker, and on two that are on two hosts.
dataset: digits
matrix: {{model: resnet_cifar, depth: 8, shortcut: [plain, A, B], width: 8}}
recipe: {{name: quick, epochs: {EPOCHS}}}
scale: {{workers: [1, 2], placement: spread}}
seeds: {SEEDS}
checkpoint_every_steps: {CHECKPOINT_STEPS}
"""
SEEDS_OF_CHAOS = [int(seed) for seed in os.environ.get("CHAOS_SEEDS", "1").split()]
"""Seeds of the kill loop; `make chaos` sets them."""


@dataclass(frozen=True, kw_only=True)
class Calm:
    """The sweep on three hosts without faults."""

    sweep: Sweep
    results: SweepResults
    took_s: float


@pytest.fixture(scope="module")
def calm(cluster: Bed) -> Calm:
    """Run the sweep once without faults, to compare with."""
    sweep = cluster.sweep(WORKLOAD.replace("NAME", "calm"))
    storm = Storm(bed=cluster, sweep=sweep, seed=0)
    storm.rage(0)
    assert storm.codes == [0]
    return Calm(sweep=sweep, results=sweep.results(), took_s=storm.took_s)


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
    assert len(final) == len({event.trial_id for event in final}) == TRIALS
    client = MlflowClient(sweep.bed.database)
    experiment = client.get_experiment_by_name(sweep.name)
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert {run.info.status for run in runs} == {"FINISHED"}
    children = [run.data.tags["harness.trial_id"] for run in runs if "mlflow.parentRunId" in run.data.tags]
    assert len(children) == len(set(children)) == TRIALS
    assert len(runs) == TRIALS + 1
    epochs = results.curves.groupby(["trial_id", "key"])["epoch"].apply(tuple)
    assert set(epochs) == {tuple(range(1, EPOCHS + 1))}
    assert epochs.index.get_level_values("trial_id").nunique() == TRIALS


def repeated_epochs(sweep: Sweep) -> int:
    """Return how often an epoch was trained again."""
    ended = [(event.trial_id, event.epoch) for event in sweep.events() if isinstance(event, EpochEnded)]
    return len(ended) - len(set(ended))


def check_repeats(sweep: Sweep) -> None:
    """Check that an attempt repeats at most one checkpoint interval of the progress reported before."""
    heard: dict[str, float] = {}
    """Trial -> epochs done, as last reported."""
    for event in sweep.events():
        if isinstance(event, TrialStarted):
            resumed = event.resumed_epoch or 0.0
            repeated = (heard.get(event.trial_id, resumed) - resumed) * STEPS_PER_EPOCH
            assert repeated <= CHECKPOINT_STEPS + 1e-6, f"{event}: {repeated:g} steps repeated"
            heard[event.trial_id] = resumed
        elif isinstance(event, EpochEnded):
            heard[event.trial_id] = event.epoch


def test_workers_on_two_hosts_train_one_trial_and_their_places_are_recorded(calm: Calm) -> None:
    check_whole(calm.sweep, calm.results)
    table = calm.results.trials
    one, two = table[table["scale.workers"] == 1], table[table["scale.workers"] == 2]
    assert len(one) == len(two) == TRIALS / 2
    assert set(one["group.world_size"].astype(int)) == {1}
    assert set(two["group.world_size"].astype(int)) == {2}
    assert set(two["group.nodes"].astype(int)) == {2}
    assert all(layout.count("node") == 2 and " 0" in layout and " 1" in layout for layout in two["group.layout"])
    assert set(" ".join(table["host.names"]).split()) <= set(NODES)
    assert (table["attempt"].astype(int) == 1).all()


def test_two_workers_on_two_hosts_give_the_numbers_of_two_on_one(calm: Calm, cluster: Bed) -> None:
    text = WORKLOAD.replace("NAME", "together").replace("[1, 2]", "2").replace(f"seeds: {SEEDS}", "seeds: 1")
    sweep = cluster.sweep(text)
    place = ["--storage", str(sweep.storage), "--no-report"]
    # A host that is not in the cluster starts a Ray of its own.
    cluster.harness("run", str(cluster.folder / "together.yaml"), *place, host=cluster.hosts.by_name[STORE])
    together = sweep.results()
    assert set(together.trials["group.nodes"].astype(int)) == {1}
    apart = timeless(calm.results)
    pd.testing.assert_frame_equal(timeless(together), apart.loc[sorted(together.trials["trial_id"])])


@pytest.mark.timeout(LIMIT_S + 300)
@pytest.mark.parametrize("seed", SEEDS_OF_CHAOS)
def test_whatever_dies_every_trial_is_finished_once_with_the_same_numbers(
    cluster: Bed, calm: Calm, seed: int, tell: list[str]
) -> None:
    sweep = cluster.sweep(WORKLOAD.replace("NAME", f"storm-{seed}"))
    storm = Storm(bed=cluster, sweep=sweep, seed=seed, arguments=("--max-attempts", "50"))
    try:
        storm.rage(DEATHS)
    finally:
        tell.append(table_of(storm, calm.took_s))
    assert set(storm.by_kind) == set(KINDS)
    results = sweep.results()
    check_whole(sweep, results)
    check_repeats(sweep)
    pd.testing.assert_frame_equal(timeless(results), timeless(calm.results))
    pd.testing.assert_frame_equal(curves(results), curves(calm.results))


def table_of(storm: Storm, calm_s: float) -> str:
    """Return a table of the faults and their cost."""
    attempts = sum(isinstance(event, TrialStarted) for event in storm.sweep.events())
    rows = [
        ("seed", storm.seed),
        *((f"{kind} died", storm.by_kind[kind]) for kind in KINDS),
        ("drivers", " ".join(map(str, storm.codes))),
        ("trials", TRIALS),
        ("attempts", attempts),
        ("epochs repeated", f"{repeated_epochs(storm.sweep)} of {TRIALS * EPOCHS}"),
        ("undisturbed", f"{calm_s:.0f} s"),
        ("disturbed", f"{storm.took_s:.0f} s, {storm.took_s - calm_s:+.0f} s"),
    ]
    deaths = (f"  {death.after_s:5.1f} s  {death.kind:8} {death.what}" for death in storm.deaths)
    return "\n".join(["kill loop", *(f"  {name:16} {value}" for name, value in rows), *deaths])
