"""Words about a wait for MLflow."""

from __future__ import annotations

from contextlib import AbstractContextManager

from harness.tracking.address import display
from harness.waits import waiting_for


def waiting_for_mlflow(tracking_uri: str, task: str, hint: str = "Ctrl-C ends this.") -> AbstractContextManager[None]:
    """Return a context that says what this process waits for if it takes long; see `waiting_for`.

    Args:
        tracking_uri: URI of the store.
        task: what MLflow has to do, as in `to take the report`.
        hint: what the user can do, as a sentence.
    """
    return waiting_for(f"MLflow at {display(tracking_uri)} {task}", hint)
