"""Settings of every worker group of a sweep."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path

from harness.trial import AttemptSettings


@dataclass(frozen=True, kw_only=True)
class GroupSettings:
    """Settings that are the same for every group of a sweep."""

    folder: Path
    """The sweep's folder."""
    collective_timeout_s: float = 300.0
    """Seconds that ranks wait for each other in a collective before the group counts as lost."""
    attempt: AttemptSettings = field(default_factory=AttemptSettings)
    monitor: bool = True
    """Whether to watch the devices that trials run on."""
    one_trial: bool = False
    """Whether every trial gets a fresh group (`isolation: process`)."""
    ray_logs: Path = Path("/tmp/ray/session_latest/logs")  # noqa: S108  Ray's own default
    """Folder of Ray's logs on every node, for messages."""
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    """Id of this execution of the sweep, which keeps its groups apart from those of others."""

    def placement_group_name(self, group: str) -> str:
        """Return the name of a group's placement groups."""
        return f"{self.run}-{group}"
