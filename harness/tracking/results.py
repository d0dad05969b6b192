"""What MLflow holds of one sweep, as tidy frames: all that reports may know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class SweepResults:
    """One sweep. Missing values are NaN or None, never zero."""

    sweep_id: str
    name: str
    """Readable and unique: the parent run's name."""
    experiment: str
    run_id: str
    """The parent run's."""
    status: str
    """`running`, `finished`, `failed`, `stopped`."""
    description: str
    workload_text: str
    plan: Mapping[str, Any]
    environment: Mapping[str, Any]
    """Of the driver: versions, host, git commit and whether the tree was dirty."""
    started_ms: int
    ended_ms: int | None
    trials: pd.DataFrame
    """One row for each trial of the sweep's list, also those that never ran, in the list's order.

    Columns: trial_id, cell_id, label, seed, run_id, outcome (an `Outcome` value, `running`, or `missing`), reason,
    attempt; every param (`model.depth`, `recipe.lr`, ...; numbers as numbers); every single metric of
    `harness.schema.METRICS` that any trial has (`final/val_error_pct`, ...); every tag of the run that is not MLflow's
    own (`device.name`, `version.torch`, ...).
    """
    curves: pd.DataFrame
    """Every series, long: trial_id, key, epoch, value, ordered by trial, key and epoch; one row per epoch."""
