"""One attempt at a trial, from a prepared process to its results. It depends on no orchestrator."""

from __future__ import annotations

from harness.engine.checkpoint import Checkpoint, CheckpointFolder, write_weights
from harness.engine.compile_cache import sound_compile_cache
from harness.engine.context import TrialContext
from harness.engine.distributed import all_objects, from_rank_0
from harness.engine.evaluate import Evaluation
from harness.engine.failure import failure
from harness.engine.interrupts import TimedOut
from harness.engine.milestones import as_results
from harness.engine.monitor import monitored
from harness.engine.process import describe_workers, prepare_process
from harness.engine.record import Column, steps_csv
from harness.engine.results import ended, memory_results, model_results, speed_results
from harness.engine.throughput import time_trial
from harness.engine.train import Training
from harness.errors import Stopped
from harness.events import ArtifactWritten, TrialEnded, TrialStarted
from harness.schema import Outcome
from harness.storage import STEPS_FILE, write_atomic
from harness.trial import Trial


def attempt_trial(trial: Trial, context: TrialContext) -> TrialEnded:
    """Call `run_trial`, and turn any error into an outcome with a one-line reason; a trace has the rest.

    Raises:
        Stopped: the sweep was asked to stop; a checkpoint is written.
        PeerLost: another rank is gone, or cannot be reached. Only a process that knows why can decide the outcome.
    """
    try:
        with sound_compile_cache(trial, context), monitored(trial, context) as monitor:
            return monitor.finish(run_trial(trial, monitor.context))
    except Stopped:
        raise
    except Exception as error:  # noqa: BLE001  # the one place that catches broadly: a trial must not end a sweep
        return failure(error, trial, context)


def run_trial(trial: Trial, context: TrialContext) -> TrialEnded:
    """Train and evaluate one trial, or the rest of it if a checkpoint is found. `time_trial` runs timing trials.

    Every worker of the group calls this with its own context, and all of them get the same value back. Rank 0 emits
    `TrialStarted`, `EpochEnded` and `ArtifactWritten`. The caller delivers the returned `TrialEnded`, and may remove
    the checkpoints only after that is safe: until then the trial can be ended again from them.

    The outcome is `diverged` if the training loss stops being finite (training ends at once), or if the final training
    error is no better, within 1 point, than always predicting the most frequent class.

    Raises:
        Stopped: `context.stop_requested` asked for it; a checkpoint is written.
        ValueError: the batch cannot be shared by the workers, or is larger than the data set.
    """
    if trial.measure == "throughput":
        return time_trial(trial, context)
    started = context.clock()
    prepare_process(trial, context.device)
    checkpoint = _start(trial, context)
    training = Training(trial, context, started=started, checkpoint=checkpoint)
    try:
        reason = training.train()
    except TimedOut as late:
        return from_rank_0(ended(trial, context, Outcome.TIMED_OUT, reason=str(late)), context.world_size)
    train, test = training.evaluate("train"), training.final_test()
    _write_steps(training)
    if trial.keep_weights and context.rank == 0:
        write_weights(context.folder, trial.id, training.module)
    results = _final(train, test) | model_results(trial) | _speed(training) | memory_results(context)
    results |= {"data/corrupt_images": _corrupt_images(training)}
    results |= _progress(training)
    results |= {"time/evaluate_s": training.evaluate_s, "time/total_s": training.total_s}
    if not reason and train.is_chance:
        reason = f"final training error {train.error_pct:.2f} % is no better than always answering the commonest class"
    outcome = Outcome.DIVERGED if reason else Outcome.FINISHED
    # Clocks differ between ranks, but results must not.
    return from_rank_0(ended(trial, context, outcome, reason=reason, results=results), context.world_size)


def _start(trial: Trial, context: TrialContext) -> Checkpoint | None:
    """Report the start of the attempt, before anything of its own can fail. Return its checkpoint, if there is one."""
    context.folder.mkdir(parents=True, exist_ok=True)
    tags = describe_workers(context)
    checkpoint = CheckpointFolder.of(context).read(trial_id=trial.id, rank=context.rank, world_size=context.world_size)
    resumed = None
    if checkpoint is not None:
        resumed = checkpoint.epoch + checkpoint.step / trial.schedule.steps_per_epoch
    if context.rank == 0:
        context.emit(TrialStarted(trial_id=trial.id, attempt=context.attempt, tags=tags, resumed_epoch=resumed))
    return checkpoint


def _progress(training: Training) -> dict[str, float]:
    """Return when each threshold was reached, and how long a warm-up waited for its error, if it did."""
    warm_from = training.schedule_state.warm_from
    warmup = {} if warm_from is None else {"schedule/warmup_iterations": warm_from}
    return as_results(training.milestones) | warmup


def _corrupt_images(training: Training) -> int:
    """Count the files that some rank has met and could not decode."""
    return len(
        {path for found in all_objects(list(training.data.corrupt), training.context.world_size) for path in found}
    )


def _write_steps(training: Training) -> None:
    context = training.context
    if context.rank == 0:
        write_atomic(context.folder / STEPS_FILE, steps_csv(training.history, training.schedule.steps_per_epoch))
    training.emit(ArtifactWritten(trial_id=training.trial.id, attempt=context.attempt, path=STEPS_FILE))


def _final(train: Evaluation, test: Evaluation) -> dict[str, float]:
    top5 = {} if test.error_top5_pct is None else {"final/test_error_top5_pct": test.error_top5_pct}
    return top5 | {
        "final/train_error_pct": train.error_pct,
        "final/train_loss": train.loss,
        "final/train_images": train.images,
        "final/test_error_pct": test.error_pct,
        "final/test_loss": test.loss,
        "final/test_images": test.images,
    }


def _speed(training: Training) -> dict[str, float]:
    """Return the speed over all steps except the first ones after each start."""
    history = training.history.numpy()
    seconds = history[history[:, Column.WARM] == 1, Column.SECONDS]
    return speed_results(training.trial, training.context, seconds)
