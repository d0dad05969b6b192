"""Placement groups of worker groups, under names of ours, so that they can be removed when Ray Train cannot do it.

Ray removes a placement group with its job, and Ray Train removes it when its controller ends in order. If the
controller died, for example with its node, the placement group stays until the sweep ends: it holds its share of the
other nodes, or waits for it and takes it, and no other group of the sweep fits there. Ray Train's own cleaner knows
only placement groups that were already placed, and it asks the dashboard, which a cluster may lack.
"""

from __future__ import annotations

import contextlib
import functools
import uuid
from collections.abc import Callable, Collection, Iterable
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
        """Replace the maker of placement groups in the controller's process, which serves this group alone."""
        replace_placement_group_maker(functools.partial(_place, self._name))


def _place(name: str, **settings: Any) -> Any:
    """Make a placement group. Its name gets a random suffix, since one of this name may still exist."""
    return placement_group(name=f"{name}/{uuid.uuid4().hex[:8]}", **settings)


def remove_placement_groups(names: Collection[str]) -> None:
    """Remove every placement group that has one of these names."""
    for place in placement_group_table().values():
        if place["state"] != "REMOVED" and place["name"].partition("/")[0] in names:
            with contextlib.suppress(ValueError):  # just gone
                remove_placement_group(ray.util.get_placement_group(place["name"]))


def placed_groups(name: Callable[[str], str], groups: Iterable[str]) -> frozenset[str]:
    """Return the worker groups whose placement groups have their resources.

    Args:
        name: gives the name of a worker group's placement groups.
        groups: the worker groups to look for.
    """
    placed = {
        entry["name"].partition("/")[0] for entry in placement_group_table().values() if entry["state"] == "CREATED"
    }
    return frozenset(group for group in groups if name(group) in placed)
