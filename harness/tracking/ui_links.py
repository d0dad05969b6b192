"""Links to useful places in MLflow's UI. The addresses and the form of a shared view are MLflow's own (3.17)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from harness.schema import REPORT_ARTIFACT

TRAINING = "workflowType=machine_learning"
"""Parameter without which the UI shows the pages for language models: traces, judges, prompts."""
EXPERIMENTS = f"#/experiments?{TRAINING}"
PARAMS = ("model.depth", "model.shortcut", "scale.workers", "seed")
METRICS = ("final/test_error_pct", "final/train_error_pct", "speed/images_per_s")
"""Metrics shown for a trial beside its name; the UI sorts them alphabetically."""


def report(experiment_id: str, run_id: str) -> str:
    """Return the link to a sweep's report, in the UI's page of artifacts."""
    return f"#/experiments/{experiment_id}/runs/{run_id}/artifactPath/{REPORT_ARTIFACT}/index.html?{TRAINING}"


def trials(experiment_id: str, run_id: str) -> str:
    """Return the link to a table of a sweep's trials, with the columns of `trials_view`."""
    return f"#/experiments/{experiment_id}/runs?{TRAINING}&viewStateShareKey={_key(run_id)}"


def trials_view(run_id: str) -> Mapping[str, str]:
    """Return the experiment tag that holds the view to which `trials` leads."""
    columns = [
        *(f"params.`{name}`" for name in PARAMS),
        *(f"metrics.`{name}`" for name in METRICS),
        "attributes.`Duration`",
    ]
    view = {"searchFilter": f"tags.mlflow.parentRunId = '{run_id}'", "selectedColumns": columns}
    return {f"mlflow.sharedViewState.{_key(run_id)}": json.dumps(view)}


def _key(run_id: str) -> str:
    return f"trials-{run_id}"
