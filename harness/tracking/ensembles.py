"""An ensemble as a run of MLflow's: beside the sweeps of its members' experiment, and part of none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.events import now_ms
from harness.schema import KIND_ENSEMBLE, Tag
from harness.tracking.mapping import dataset_input
from harness.tracking.tracker import Point, Tracker


def log_ensemble(
    tracker: Tracker,
    experiment: str,
    *,
    name: str,
    trial_ids: Sequence[str],
    results: Mapping[str, float],
    dataset: Mapping[str, Any],
) -> str:
    """Record what an ensemble answered. Each call makes a run of its own.

    Args:
        tracker: where.
        experiment: its name.
        name: of the run.
        trial_ids: the members'.
        results: single metrics of `harness.schema.METRICS`.
        dataset: see `Trial.dataset_record`.

    Returns:
        The run's id.

    Raises:
        TrackingUnreachable, Refused: see `Tracker`.
    """
    now = now_ms()
    experiment_id = tracker.ensure_experiment(experiment)
    run_id = tracker.create_run(experiment_id, name=name, start_ms=now, tags={Tag.KIND: KIND_ENSEMBLE})
    members = {f"member.{place}": trial_id for place, trial_id in enumerate(trial_ids, start=1)}
    tracker.log_dataset(run_id, dataset_input(dataset))
    tracker.log(run_id, points=[Point(key, value, now, 0) for key, value in results.items()], params=members, tags={})
    tracker.set_status(run_id, "FINISHED", now_ms())
    return run_id
