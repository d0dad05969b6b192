"""Preparation before a sweep: check that the tracking store answers, and create its database and experiment."""

from __future__ import annotations

from harness.errors import UsageError
from harness.tracking import address
from harness.tracking.recorder import connect
from harness.tracking.tracker import RejectedError

__all__ = ["prepare"]


def prepare(tracking_uri: str, experiment: str) -> str:
    """Create database and experiment if they are missing, once, before any worker exists.

    Returns:
        The tracking URI to use from here on, with a relative SQLite path made absolute.

    Raises:
        UsageError: the URI cannot be used, or the experiment is deleted or has a name that MLflow does not accept.
        TrackingUnreachable: the store does not answer within seconds.
    """
    uri = address.resolve(tracking_uri)
    tracker = connect(uri)
    tracker.check()
    try:
        tracker.ensure_experiment(experiment)
    except RejectedError as refusal:
        raise UsageError(str(refusal)) from refusal
    return uri
