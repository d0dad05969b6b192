"""One of two workers on nodes of their own; the second node does not see the data.

python -m tests.unit.workloads.two_nodes RANK FOLDER ROOT
"""

import json
import socket
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from harness.engine import TrialContext, attempt_trial
from harness.trial import Scale, Trial
from models import MODELS
from tests.support.process_groups import leave_process_group
from workloads.datasets.imagenet import ImageNet
from workloads.recipes import Recipe


def main(rank: int, folder: Path, root: str) -> None:
    socket.gethostname = lambda: f"node-{rank}"
    init = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=init, rank=rank, world_size=2, timeout=timedelta(seconds=120))
    events = []
    trial = Trial(
        model=MODELS["resnet_cifar"](depth=8, shortcut="A", width=4),
        dataset=ImageNet(root=root if rank == 0 else f"{root}/not-mounted", subset="photos", image_size=32, decoders=0),
        recipe=Recipe(epochs=1, batch_size=8, lr=0.1),
        scale=Scale(workers=2, device="cpu"),
        seed=0,
        fingerprint="photos",
        label="photos",
    )
    context = TrialContext(folder / "trial", 1, rank, 2, torch.device("cpu"), events.append, lambda: False)
    ended = attempt_trial(trial, context)
    found = [ended.outcome.value, ended.reason, [type(event).__name__ for event in events]]
    (folder / f"{rank}.json").write_text(json.dumps(found))
    leave_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
