"""Preparation before a sweep: check that the tracking store answers, and create its database and experiment."""

from __future__ import annotations

from harness.errors import UsageError
from harness.tracking import address
from harness.tracking.tracker import RejectedError
from harness.tracking.waiting import waiting_for_mlflow

__all__ = ["prepare"]


def prepare(tracking_uri: str, experiment: str) -> str:
    """Create database and experiment if they are missing, once, before any worker exists.

    Returns:
        The tracking URI to use from here on, with a relative SQLite path made absolute.

    Raises:
        UsageError: the URI cannot be used, or the experiment is deleted, has a name that MLflow does not accept, or
            keeps its files where none may be written.
        TrackingUnreachable: the store does not answer within seconds.
    """
    from harness.tracking.mlflow_tracker import MlflowTracker  # imports MLflow, which takes seconds

    uri = address.resolve(tracking_uri)
    with waiting_for_mlflow(uri, "to answer"):
        tracker = MlflowTracker(uri)
        tracker.check()
        try:
            tracker.check_place(tracker.ensure_experiment(experiment))
        except RejectedError as refusal:
            raise UsageError(str(refusal)) from refusal
    return uri
