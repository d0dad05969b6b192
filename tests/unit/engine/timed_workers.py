"""One of two worker processes of a timing trial, on simulated time: rank 1 is slow, and so is communication.

python -m tests.unit.engine.timed_workers RANK FOLDER
"""

import dataclasses
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from harness.engine import run_trial
from tests.support.process_groups import leave_process_group
from tests.unit.engine.conftest import Recording, simulated_time, tiny_trial


def main(rank: int, folder: Path) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    phases_s = {"forward": 0.03 if rank == 0 else 0.06, "backward": 0.04, "optimizer": 0.01}
    clock = simulated_time(pytest.MonkeyPatch().setattr, phases_s, communication_s=0.05)
    recorded = Recording(folder / "trial")
    context = dataclasses.replace(recorded.context, rank=rank, world_size=2, clock=clock)
    trial = tiny_trial(workers=2, epochs=None, iterations=30, warmup_fraction=0.0)
    torch.save(run_trial(dataclasses.replace(trial, measure="throughput"), context), folder / f"rank{rank}.pt")
    leave_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
