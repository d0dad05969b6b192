"""Checkpoints: all that a trial needs to go on as if it had never been interrupted.

A file holds the SHA-256 digest of its content, then the content. It is written whole or not at all. A file whose digest
does not match is skipped, and the one before it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness.engine.context import TrialContext
from harness.engine.distributed import from_rank_0
from harness.errors import StorageError
from harness.storage import WEIGHTS_FILE, write_atomic

FORMAT = 3
WEIGHTS_FORMAT = 1
"""Version of the file that keeps the final weights of a trial."""
KEPT = 2
"""Number of checkpoints kept: the newest, and the one before it in case the newest is damaged."""
log = logging.getLogger(__name__)
DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state of a trial between two steps."""

    trial_id: str
    epoch: int
    """Number of epochs done."""
    step: int
    """Number of steps done in the running epoch."""
    module: dict[str, Any]
    stepper: dict[str, Any]
    """State of the optimizer and of the gradient scaler."""
    schedule: dict[str, Any]
    """State of the schedule: of a plateau, and of a warm-up's end."""
    lr: float
    """Learning rate of the last step."""
    milestones: dict[int, tuple[float, float]]
    """Thresholds reached, see `milestones.Milestones`."""
    history: Tensor
    """Steps of the epochs done, see `record.Column`: float64 [steps, 4]."""
    running: Tensor | None
    """Steps of the running epoch on each rank: float64 [world_size, 4, step]. None between two epochs."""
    random: Tensor | None
    """State of each rank's random generators: uint8 [world_size, bytes]. None between two epochs: each epoch seeds
    them."""
    evaluate_s: float
    total_s: float
    format: int = FORMAT


def encode(checkpoint: Checkpoint) -> bytes:
    """Return the content of a checkpoint's file."""
    return seal(dict(vars(checkpoint)))


def seal(fields: dict[str, Any]) -> bytes:
    """Serialize some values, with the digest of the bytes in front of them."""
    buffer = io.BytesIO()
    torch.save(fields, buffer)
    content = buffer.getvalue()
    return hashlib.sha256(content).digest() + content


def unseal(content: bytes, **expected: Any) -> dict[str, Any]:
    """Return the values in the bytes that `seal` made, and check the `expected` ones; tensors are on the host.

    Raises:
        ValueError: the content is truncated or altered, or a value is not the expected one.
    """
    digest, body = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise ValueError("truncated or altered")
    try:
        fields: dict[str, Any] = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise ValueError("its content is none of ours") from error
    found = {key: fields.get(key) for key in expected}
    if found != expected:
        raise ValueError(f"{_listed(found)}, not {_listed(expected)}")
    return fields


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def decode(content: bytes, *, trial_id: str) -> Checkpoint:
    """Return the checkpoint in a file's content; its tensors are on the host.

    Raises:
        ValueError: the file is truncated, altered, of another trial or of another format.
    """
    return Checkpoint(**unseal(content, format=FORMAT, trial_id=trial_id))


@dataclass(frozen=True)
class CheckpointFolder:
    """The checkpoints of one trial."""

    root: Path

    @classmethod
    def of(cls, context: TrialContext) -> CheckpointFolder:
        """Return the checkpoint folder of a context's trial."""
        return cls.below(context.folder)

    @classmethod
    def below(cls, trial_folder: Path) -> CheckpointFolder:
        """Return the checkpoint folder inside a trial's folder."""
        return cls(trial_folder / "checkpoints")

    def write(self, checkpoint: Checkpoint) -> None:
        """Add a checkpoint, and keep only the one before it. For rank 0 alone.

        Raises:
            StorageError: it cannot be written; the earlier ones are still there.
        """
        path = self.root / f"{checkpoint.epoch:06d}-{checkpoint.step:08d}.checkpoint"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            write_atomic(path, encode(checkpoint))
        except OSError as error:
            raise StorageError(
                f"checkpoint {path} cannot be written: {error.strerror}; make room on the disk or mend its permissions"
            ) from error
        self._keep_up_to(path)

    def read(self, *, trial_id: str, rank: int, world_size: int) -> Checkpoint | None:
        """Return this trial's newest intact checkpoint, or None. Rank 0 alone reads it, and sends it to the others."""
        return from_rank_0(next(self._whole(trial_id), None) if rank == 0 else None, world_size)

    def clear(self) -> None:
        """Remove all checkpoints. Files that cannot be removed stay: nobody will read them."""
        for path in self._newest_first():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _keep_up_to(self, newest: Path) -> None:
        """Remove old checkpoints, and those with a later name, which were skipped when this attempt began."""
        paths = self._newest_first()
        later = [path for path in paths if path > newest]
        for path in later + paths[len(later) + KEPT :]:
            path.unlink(missing_ok=True)

    def _whole(self, trial_id: str) -> Iterator[Checkpoint]:
        for path in self._newest_first():
            try:
                yield decode(path.read_bytes(), trial_id=trial_id)
            except (OSError, ValueError) as error:
                log.warning("checkpoint %s is passed over: %s", path, error)

    def _newest_first(self) -> list[Path]:
        return sorted(self.root.glob("*.checkpoint"), reverse=True)


def write_weights(trial_folder: Path, trial_id: str, module: nn.Module) -> None:
    """Write weights and running statistics, whole or not at all. For rank 0 alone."""
    content = seal({"format": WEIGHTS_FORMAT, "trial_id": trial_id, "module": module.state_dict()})
    write_atomic(trial_folder / WEIGHTS_FILE, content)


def read_weights(trial_folder: Path, trial_id: str) -> dict[str, Any]:
    """Return the weights that `write_weights` wrote, on the host.

    Raises:
        OSError: there are none, or they cannot be read.
        ValueError: they are truncated, altered, of another trial or of another format.
    """
    fields = unseal((trial_folder / WEIGHTS_FILE).read_bytes(), format=WEIGHTS_FORMAT, trial_id=trial_id)
    weights: dict[str, Any] = fields["module"]
    return weights
