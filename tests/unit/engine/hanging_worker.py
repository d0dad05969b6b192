"""One of two worker processes of a trial in which rank 1 hangs, raises or dies in the middle of its third step.

python -m tests.unit.engine.hanging_worker RANK FOLDER hang|raise|die
"""

import dataclasses
import json
import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist

from harness.engine import attempt_trial
from harness.engine.failure import PeerLost
from harness.engine.step import Stepper
from tests.unit.engine.conftest import Recording, tiny_trial

DEADLINE_S = 5


def plant(what: str) -> None:
    """Make rank 1's third step send no gradients."""
    real, steps = Stepper.step, []

    def step(self, *arguments, **settings):
        steps.append(1)
        if len(steps) == 3:
            if what == "raise":
                raise ZeroDivisionError("planted")
            if what == "die":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(10 * DEADLINE_S)
        return real(self, *arguments, **settings)

    Stepper.step = step


def main(rank: int, folder: Path, what: str) -> None:
    store = f"file://{folder}/store"
    dist.init_process_group(
        "gloo", init_method=store, rank=rank, world_size=2, timeout=timedelta(seconds=60 if rank else DEADLINE_S)
    )
    if rank == 1:
        plant(what)
    recorded = Recording(folder / "trial")
    context = dataclasses.replace(recorded.context, rank=rank, world_size=2)
    started = time.monotonic()
    try:
        ended = attempt_trial(tiny_trial(workers=2), context)
        found = {"outcome": ended.outcome, "reason": ended.reason}
    except PeerLost as lost:
        found = {"outcome": "peer lost", "reason": str(lost)}
    found["seconds"] = time.monotonic() - started
    (folder / f"{rank}.json").write_text(json.dumps(found))
    # No destroy_process_group: it would wait for the worker that hangs, and nothing may wait for that one.


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
