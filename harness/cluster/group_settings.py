"""Settings of every worker group of a sweep."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class GroupSettings:
    """What every group of a sweep is told."""

    folder: Path
    """The sweep's."""
    collective_timeout_s: float = 300.0
    """How long ranks wait for each other before the group is given up."""
    trial_timeout_s: float | None = None
    checkpoint_every_s: float | None = None
    checkpoint_every_steps: int | None = None
    monitor: bool = True
    """Watch the devices that trials run on."""
    one_trial: bool = False
    """A fresh group for every trial (`isolation: process`)."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    """Tells this execution's groups from those of others."""

    def placement_group_name(self, group: str) -> str:
        """The name of a group's placement groups."""
        return f"{self.run}-{group}"
