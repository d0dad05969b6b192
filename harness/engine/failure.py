"""Failures of a trial: an outcome with a one-line reason, and a trace that names rank and node."""

from __future__ import annotations

import re
import resource
import socket
import traceback

import torch
import torch.distributed as dist

from harness.engine.context import TrialContext
from harness.engine.process import memory_peak_gib
from harness.errors import HarnessError
from harness.events import ArtifactWritten, TrialEnded
from harness.network import without_secrets
from harness.schema import Outcome, trace_artifact
from harness.trial import Trial

MOST_CAUSE_CHARS = 300


class PeerLost(HarnessError):
    """A collective failed: another rank died, hangs, failed or cannot be reached. This rank cannot tell which."""


def failure(error: Exception, trial: Trial, context: TrialContext) -> TrialEnded:
    """Turn an error that a rank caught into an outcome. The first rank of an attempt that fails writes and sends the
    trace.

    Ranks that fail later mostly report only that the first one left a collective.

    Raises:
        PeerLost: the error reports only that. The trace is written all the same: there may be no other.
    """
    outcome = Outcome.OUT_OF_MEMORY if _is_out_of_memory(error) else Outcome.FAILED
    cause = f"{type(error).__name__}: {' '.join(str(error).split())}"[:MOST_CAUSE_CHARS]
    if outcome is Outcome.OUT_OF_MEMORY:
        cause = f"{_peak(context)}; {cause}"
    reason = f"{cause} (rank {context.rank} on {socket.gethostname()}; {_keep_trace(error, trial, context)})"
    if context.world_size > 1 and outcome is Outcome.FAILED and _is_of_a_peer(error):
        raise PeerLost(reason) from error
    return TrialEnded(trial_id=trial.id, attempt=context.attempt, outcome=outcome, reason=reason)


def _keep_trace(error: Exception, trial: Trial, context: TrialContext) -> str:
    """Write the trace. Return a reference to it, or the reason why it cannot be written."""
    name = trace_artifact(context.attempt)
    path = context.folder / name
    where = f"rank {context.rank} of {context.world_size} on {socket.gethostname()}"
    head = f"{trial.name} ({trial.id}), attempt {context.attempt}, {where}\n\n"
    try:
        context.folder.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(head + without_secrets("".join(traceback.format_exception(error))))
    except FileExistsError:
        return f"see {path}"
    except OSError as refused:
        return f"its trace cannot be written: {refused.strerror}"
    context.emit(ArtifactWritten(trial_id=trial.id, attempt=context.attempt, path=name))
    return f"see {path}"


def _peak(context: TrialContext) -> str:
    """Describe the peak of memory in use: on the device if it counts that, else in the process."""
    peak = memory_peak_gib(context.device)
    if peak is not None:
        return f"peak of {peak:.2f} GiB allocated"
    return f"peak of {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB in the process"


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # On the host torch raises a bare RuntimeError.
    return isinstance(error, RuntimeError) and bool(re.search("DefaultCPUAllocator.*allocate memory", str(error)))


def _is_of_a_peer(error: Exception) -> bool:
    """Return whether another rank is lost, by torch's own classes or by messages that name NCCL or a file of gloo."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and re.search(r"/gloo/|\bNCCL\b", str(error)) is not None
    )
