"""What a worker group holds of the cluster, under a name of ours, so that it can be given back where Ray Train cannot.

Ray removes a placement group with its job, and Ray Train where its controller ends in order. One whose controller died,
say with its node, stays until the sweep ends: it holds its share of the other nodes, or waits for it and takes it, and
nothing of the sweep fits beside it. Ray Train's own cleaner knows only those that were placed already, and asks the
dashboard, which a cluster may lack.
"""

from __future__ import annotations

import contextlib
import functools
import uuid
from collections.abc import Collection
from typing import Any

import ray
from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group

from harness.cluster.ray_internals import PRIVATE_NAMES, replace_placement_group_maker

_ControllerCallback: Any = PRIVATE_NAMES["controller_callback"].find()


class NamedPlacementGroups(_ControllerCallback):  # type: ignore[misc]
    """Makes Ray Train's controller name the placement groups of a worker group. Ray has no setting for it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def after_controller_start(self, train_run_context: Any) -> None:  # noqa: ARG002
        """Called in the controller's process, which serves this group alone."""
        replace_placement_group_maker(functools.partial(_place, self._name))


def _place(name: str, **settings: Any) -> Any:
    """A name may be given once, and the next placement group is often made before the last one is gone."""
    return placement_group(name=f"{name}/{uuid.uuid4().hex[:8]}", **settings)


def remove_placement_groups(names: Collection[str]) -> None:
    """Remove every placement group that has one of these names."""
    for place in placement_group_table().values():
        if place["state"] != "REMOVED" and place["name"].partition("/")[0] in names:
            with contextlib.suppress(ValueError):  # just gone
                remove_placement_group(ray.util.get_placement_group(place["name"]))
