"""Ray Train's trainer for our groups. It does not load torch, and it starts no process that we do not use.

`TorchTrainer` has another backend, which loads torch in every process that names it: in the one that starts groups and
in every controller, where this was half of the start-up time.
"""

from __future__ import annotations

import os
from typing import Any

from harness.cluster.ray_internals import PRIVATE_NAMES

_Trainer: Any = PRIVATE_NAMES["trainer"].find()
UNUSED = (PRIVATE_NAMES["datasets_callback"].find(), PRIVATE_NAMES["placement_group_cleaner"].find())
"""Callbacks that each start a process a group: for Ray's data sets, and to remove the placement groups of a dead
controller, which `harness.cluster.placement_groups` does already."""


SETTINGS = {
    # Seconds until the end of a group, or the death of a worker, is noticed.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # Workers write to absolute paths only; they stay in the driver's folder.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # This would start a process a group that announces the end of a node. Trials lost with a node are retried.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
"""Variables that Ray Train reads where `fit` is called and passes to its processes. The user's own values win."""


class LeanTrainer(_Trainer):  # type: ignore[misc]
    """Starts workers and watches them. Ray has no setting that turns off the other processes of its trainers."""

    def fit(self) -> Any:
        """Set the variables, then run as every trainer of Ray Train."""
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        return super().fit()

    def _create_default_callbacks(self) -> list[Any]:
        made: list[Any] = super()._create_default_callbacks()
        return [callback for callback in made if not isinstance(callback, UNUSED)]
