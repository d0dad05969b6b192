"""Places in MLflow's UI that are worth a link. Its addresses and the form of a shared view are its own (3.17)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.schema import REPORT_ARTIFACT

TRAINING = "workflowType=machine_learning"
"""Without it the UI shows what language models need: traces, judges, prompts."""
EXPERIMENTS = f"#/experiments?{TRAINING}"
PARAMS = ("model.depth", "model.shortcut", "scale.workers", "seed")
METRICS = ("final/val_error_pct", "final/train_error_pct", "speed/images_per_s")
"""Of a trial, beside its name; the UI has them in the order of letters."""


def report(experiment_id: str, run_id: str) -> str:
    """A sweep's report, where the UI shows artifacts."""
    return f"#/experiments/{experiment_id}/runs/{run_id}/artifactPath/{REPORT_ARTIFACT}/index.html?{TRAINING}"


def trials(experiment_id: str, run_id: str) -> str:
    """A sweep's trials as a table, with the columns of `trials_view`."""
    return f"#/experiments/{experiment_id}/runs?{TRAINING}&viewStateShareKey={_key(run_id)}"


def trials_view(run_id: str) -> Mapping[str, str]:
    """The tag of an experiment that holds the view which `trials` leads to."""
    columns = [
        *(f"params.`{name}`" for name in PARAMS),
        *(f"metrics.`{name}`" for name in METRICS),
        "attributes.`Duration`",
    ]
    view = {"searchFilter": f"tags.mlflow.parentRunId = '{run_id}'", "selectedColumns": columns}
    return {f"mlflow.sharedViewState.{_key(run_id)}": json.dumps(view)}


def _key(run_id: str) -> str:
    return f"trials-{run_id}"
