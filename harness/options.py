"""What a command was asked to do: flags, environment and defaults already resolved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.workload.load import Workload


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """`harness run`. The workload is read, its claims are checked, and flags that change it are already in it."""

    workload: Workload
    storage: Path
    """Where sweeps keep checkpoints and outboxes: absolute, seen by the driver and every node at this path."""
    tracking_uri: str
    """MLflow's."""
    experiment: str
    """MLflow's: the flag, MLFLOW_EXPERIMENT_NAME, or the workload's name."""
    address: str | None
    """Of the Ray cluster; None starts a local one."""
    launcher: Literal["ray", "inline"]
    """inline: in this process, without Ray."""
    out: Path
    """Folder of the report."""
    fresh: bool
    """Run every trial anew, whatever has a result already."""
    json: bool
    """Print the outcome as JSON on stdout."""
    report: bool
    """Write the report at the end."""
    take_over: bool = False
    """Go on although MLflow says that the sweep runs with another storage folder."""
    monitor: bool = True
    """Watch the devices that trials run on."""
    visible_devices: str | None = None
    """This process's CUDA_VISIBLE_DEVICES, for trials that run in it."""
    collective_timeout_s: float = 300.0
    """How long the workers of a group wait for each other before the group is given up."""
