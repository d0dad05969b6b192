"""A warm worker group: one `fit` of Ray Train whose loop leases trials until there are none.

Nothing here loads torch: the workers do, in `harness.cluster.worker`.
"""

from __future__ import annotations

import contextlib
import re
import traceback
import uuid
from collections.abc import Collection, Mapping
from typing import Any

import ray
import ray.train
from ray.train.v2.api.callback import UserCallback

from harness.cluster.actor import first_cause
from harness.cluster.group_settings import GroupSettings
from harness.cluster.placement_groups import NamedPlacementGroups
from harness.cluster.process_group import ProcessGroup
from harness.cluster.queue_client import QueueClient
from harness.cluster.ray_internals import PRIVATE_NAMES, death_of, raised_in_worker
from harness.cluster.trainer import LeanTrainer
from harness.errors import HarnessError
from harness.scheduling.types import Shape

NODE_LABEL = "ray.io/node-id"
"""The label with a node's id, which Ray gives to every node."""
PLACEMENT_TRIES = 3
"""Times that Ray Train waits its start-up time-out (60 s) for a placement group; then the driver looks again."""


class LossReport(UserCallback):
    """Tells the queue why a group was lost, from the errors of all ranks: `fit` raises only one of them."""

    def __init__(self, queue: QueueClient, group: str) -> None:
        self._queue, self._group = queue, group

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:  # noqa: ARG002
        """Report the loss. Ray Train's controller calls this before it ends the group."""
        reason, out_of_memory = loss_of(worker_exceptions)
        with contextlib.suppress(ray.exceptions.RayError):
            self._queue.note_loss_reason(self._group, reason, out_of_memory=out_of_memory)


def loss_of(exceptions: Mapping[int, Exception]) -> tuple[str, bool]:
    """Return why a group was lost, in one line with rank and node, and whether it ran out of memory.

    A rank's death explains more than the error of another rank, which may only have waited for it in a collective.

    Args:
        exceptions: rank -> its exception.
    """
    dead = {rank: cause for rank, error in exceptions.items() if (cause := _death(error)) is not None}
    causes = dead or {rank: raised_in_worker(error) for rank, error in exceptions.items()}
    # If several ranks died, one that ran out of memory caused the death of the others.
    rank, cause = min(causes.items(), key=lambda item: (not _is_out_of_memory(item[1]), item[0]))
    node = re.search(r"\bip(?: of|=|: ?)?[\s:]*(\d+\.\d+\.\d+\.\d+)", str(cause), re.IGNORECASE)
    where = f"rank {rank}" + (f" on {node[1]}" if node else "")
    out_of_memory = _is_out_of_memory(cause)
    what = "was killed for lack of memory" if out_of_memory else "died" if dead else "failed"
    return f"{where} of its group {what}: {_why(cause)}"[:500], out_of_memory


def _why(cause: BaseException) -> str:
    if isinstance(cause, ray.exceptions.RayError):
        return first_cause(cause).partition(" Some common causes include")[0]  # without Ray's general advice
    if isinstance(cause, HarnessError):
        return first_cause(cause)
    return traceback.format_exception_only(cause)[-1].strip()


def _death(error: Exception) -> BaseException | None:
    """Return Ray's error for a worker that died; None for a worker that raised an error."""
    return error if isinstance(error, ray.exceptions.RayError) else death_of(error)


def _is_out_of_memory(cause: BaseException) -> bool:
    return isinstance(cause, ray.exceptions.OutOfMemoryError)


def fit(group: str, shape: Shape, queue: QueueClient, settings: GroupSettings, avoid: Collection[str]) -> None:
    """Start a worker group and let it run trials until the queue has none of this shape.

    Args:
        group: its name.
        shape: shape of its trials.
        queue: the sweep's queue.
        settings: the sweep's settings.
        avoid: Ray's ids of the nodes that its workers must not use.

    Raises:
        ray.train.TrainingFailedError: the group was lost, or could not be placed.
    """
    gpus = {"GPU": shape.gpus_per_worker} if shape.gpus_per_worker else {}
    callbacks: Any = [LossReport(queue, group), NamedPlacementGroups(settings.placement_group_name(group))]
    scaling: Any = ray.train.ScalingConfig  # Ray's type stubs describe an older one
    trainer = LeanTrainer(
        _worker_loop,
        train_loop_config={"group": group, "shape": shape, "queue": queue, "settings": settings},
        backend_config=ProcessGroup(device=shape.device, timeout_s=settings.collective_timeout_s),
        scaling_config=scaling(
            num_workers=shape.workers,
            use_gpu=shape.device == "cuda",
            resources_per_worker={"CPU": shape.cpus_per_worker, **gpus},
            placement_strategy=shape.placement.upper(),
            label_selector={NODE_LABEL: f"!in({','.join(sorted(avoid))})"} if avoid else None,
        ),
        run_config=ray.train.RunConfig(
            # A name used twice would silently resume the run before.
            name=f"{group}-{uuid.uuid4().hex[:8]}",
            storage_path=str(settings.folder.resolve() / "logs" / "ray-train"),
            callbacks=callbacks,
            # Ray Train would restart lost workers on the same node; the sweep first decides whether it is usable.
            failure_config=PRIVATE_NAMES["failure_config"].find()(
                max_failures=0, controller_failure_limit=PLACEMENT_TRIES
            ),
        ),
    )
    trainer.fit()


def _worker_loop(config: dict[str, Any]) -> None:
    """Run a worker. Ray Train calls this on each of them."""
    from harness.cluster.worker import run_worker

    run_worker(**config)
