"""The final weights of a trial, where it was asked to keep them: what is needed to ask its network again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from harness.engine.checkpoint import seal, unseal
from harness.storage import WEIGHTS_FILE, write_atomic

FORMAT = 1


def write_weights(trial_folder: Path, trial_id: str, module: nn.Module) -> None:
    """Weights and running statistics, whole or not at all. For rank 0 alone."""
    content = seal({"format": FORMAT, "trial_id": trial_id, "module": module.state_dict()})
    write_atomic(trial_folder / WEIGHTS_FILE, content)


def read_weights(trial_folder: Path, trial_id: str) -> dict[str, Any]:
    """As `write_weights` was given them, on the host.

    Raises:
        OSError: there are none, or they cannot be read.
        ValueError: they are truncated, altered, another trial's or of another format.
    """
    fields = unseal((trial_folder / WEIGHTS_FILE).read_bytes(), format=FORMAT, trial_id=trial_id)
    weights: dict[str, Any] = fields["module"]
    return weights
