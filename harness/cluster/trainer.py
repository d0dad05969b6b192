"""Ray Train's trainer as we use it: nothing in it loads torch, and it starts no process that we have no use for.

`TorchTrainer` differs in its backend, which loads torch wherever it is named: in the process that starts groups and in
every controller, where that was half of the time that these take to start.
"""

from __future__ import annotations

import os
from typing import Any

from harness.cluster.ray_internals import PRIVATE_NAMES

_Trainer: Any = PRIVATE_NAMES["trainer"].find()
UNUSED = (PRIVATE_NAMES["datasets_callback"].find(), PRIVATE_NAMES["placement_group_cleaner"].find())
"""Each starts a process for each group: one for Ray's data sets, and one that removes the placement groups of a dead
controller, which `harness.cluster.placement_groups` does too."""


SETTINGS = {
    # How soon the end of a group, or the death of a worker, is seen.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # All that workers write has an absolute path; the folder they are in is the driver's.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # A process for each group that would say of a node that it is about to go. What is lost with it is trained again.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}
"""Ray Train reads these in the process that calls `fit`, and hands them on to its own. A user's own come first."""


class LeanTrainer(_Trainer):  # type: ignore[misc]
    """Starts workers and watches them. Ray has no setting for what else its trainers start."""

    def fit(self) -> Any:
        """As every trainer's."""
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        return super().fit()

    def _create_default_callbacks(self) -> list[Any]:
        made: list[Any] = super()._create_default_callbacks()
        return [callback for callback in made if not isinstance(callback, UNUSED)]
