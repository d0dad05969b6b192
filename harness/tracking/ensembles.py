"""An ensemble as an MLflow run in the experiment of its members; it is not part of any sweep."""

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
    """Record the result of an ensemble. Each call makes a new run.

    Args:
        tracker: the tracking store.
        experiment: the experiment's name.
        name: the run's name.
        trial_ids: ids of the members.
        results: single metrics of `harness.schema.METRICS`.
        dataset: see `Trial.dataset_record`.

    Returns:
        The run's id.

    Raises:
        TrackingUnreachable, RejectedError: see `Tracker`.
    """
    now = now_ms()
    experiment_id = tracker.ensure_experiment(experiment)
    run_id = tracker.create_run(experiment_id, name=name, start_ms=now, tags={Tag.KIND: KIND_ENSEMBLE})
    members = {f"member.{place}": trial_id for place, trial_id in enumerate(trial_ids, start=1)}
    tracker.log_dataset(run_id, dataset_input(dataset))
    tracker.log(run_id, points=[Point(key, value, now, 0) for key, value in results.items()], params=members, tags={})
    tracker.set_status(run_id, "FINISHED", now_ms())
    return run_id
