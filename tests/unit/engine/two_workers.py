"""One of two worker processes: it trains as the test asks and writes its results to a file.

python -m tests.unit.engine.two_workers RANK FOLDER
"""

import dataclasses
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from harness.engine import TrialContext, run_trial
from harness.engine.process import prepare_process
from harness.engine.train import Training
from harness.errors import Stopped
from harness.trial import Trial
from tests.support.process_groups import leave_process_group
from tests.unit.engine.conftest import Recording, timeless_results, tiny_trial, weights_after_50_steps


def trained(trial: Trial, context: TrialContext) -> dict:
    """Return the weights after all epochs, and the counts of their evaluations."""
    prepare_process(trial, context.device)
    training = Training(trial, context, started=0.0, checkpoint=None)
    training.train()
    found = {"module": training.module.state_dict(), "counts": dataclasses.asdict(training.evaluate("train"))}
    for protocol in ("10-crop", "multi-scale"):
        training.recipe = dataclasses.replace(trial.recipe, evaluation=protocol)
        found[protocol] = dataclasses.asdict(training.final_test())
    return found


def stopped_and_resumed(recorded: Recording, trial: Trial) -> dict:
    """Stop and resume a trial. Rank 1 alone sees the request, at its third look; both must stop, and then go on."""
    recorded.stop_after = 3 if recorded.context.rank == 1 else None
    try:
        run_trial(trial, recorded.context)
        reason = "not stopped"
    except Stopped as stopped:
        reason = str(stopped)
    recorded.stop_after = None
    return {"reason": reason, "results": timeless_results(run_trial(trial, recorded.context))}


def main(rank: int, folder: Path) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    recordings = {}

    def record(name: str, **settings) -> Recording:
        recorded = Recording(folder / name, **settings)
        recorded.context = dataclasses.replace(recorded.context, rank=rank, world_size=2)
        recordings[name] = recorded
        return recorded

    trial = tiny_trial(workers=2)
    whole, part = record("whole"), record("part", checkpoint_every_steps=4)
    found = {
        "weights": trained(trial, record("weights").context),
        "parts": trained(tiny_trial(workers=2, micro_batch_size=24), record("parts").context),
        "fifty": weights_after_50_steps(record("fifty").context, workers=2),
        "ended": run_trial(trial, whole.context),
        "part": stopped_and_resumed(part, trial),
        "whole_curves": whole.curves(),
        "part_curves": part.curves(),
        "events": {name: len(recorded.events) for name, recorded in recordings.items()},
    }
    torch.save(found, folder / f"rank{rank}.pt")
    leave_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
