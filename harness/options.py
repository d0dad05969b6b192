"""Options of a command, with flags, environment and defaults already resolved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.workload.load import Workload


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of `harness run`. The workload is read, its claims are checked, and flags that change it are applied."""

    workload: Workload
    storage: Path
    """Absolute folder of checkpoints and outboxes, which the driver and every node see at this path."""
    tracking_uri: str
    """Tracking URI of MLflow."""
    experiment: str
    """Name of the MLflow experiment: the flag, MLFLOW_EXPERIMENT_NAME, or the workload's name."""
    address: str | None
    """Address of the Ray cluster; None starts a local one."""
    launcher: Literal["ray", "inline"]
    """Launcher of the workers; `inline` runs in this process, without Ray."""
    out: Path
    """Folder of the report."""
    fresh: bool
    """Run every trial anew, even if it has a result."""
    json: bool
    """Print the outcome as JSON on stdout."""
    report: bool
    """Write the report at the end."""
    take_over: bool = False
    """Continue even if MLflow says that the sweep runs with another storage folder."""
    monitor: bool = True
    """Watch the devices that trials run on."""
    visible_devices: str | None = None
    """This process's CUDA_VISIBLE_DEVICES, for trials that run in it."""
    collective_timeout_s: float = 300.0
    """Seconds that the workers of a group wait for each other before the group counts as lost."""
