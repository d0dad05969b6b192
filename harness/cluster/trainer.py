"""Ray Train's trainer as we use it: nothing in it loads torch, and it starts no process that we have no use for.

`TorchTrainer` differs in its backend, which loads torch wherever it is named: in the process that starts groups and in
every controller, where that was half of the time that these take to start.
"""

from __future__ import annotations

from typing import Any

from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

UNUSED = (DatasetsCallback, PlacementGroupCleanerCallback)
"""Each starts a process for each group: one for Ray's data sets, and one that removes the placement groups of a dead
controller, which `harness.cluster.places` does too."""


class LeanTrainer(DataParallelTrainer):
    """Starts workers and watches them. Ray has no setting for what else its trainers start."""

    def _create_default_callbacks(self) -> list[Any]:
        made: list[Any] = super()._create_default_callbacks()
        return [callback for callback in made if not isinstance(callback, UNUSED)]
