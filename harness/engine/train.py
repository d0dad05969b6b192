"""The training loop over epochs and steps, and the requests that may interrupt it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from harness.engine.checkpoint import Checkpoint, CheckpointFolder
from harness.engine.context import TrialContext
from harness.engine.distributed import any_rank, gathered, summed
from harness.engine.evaluate import Evaluation, Evaluator
from harness.engine.interrupts import Interrupts, TimedOut
from harness.engine.milestones import Milestones, passed
from harness.engine.network import build_module
from harness.engine.process import load_everywhere, random_state, restore_random_state, seed_generators
from harness.engine.record import NO_HISTORY, Column, EpochRecord, over_ranks
from harness.engine.results import only_finite
from harness.engine.step import Stepper
from harness.engine.views import PLAIN, View, views
from harness.errors import Stopped
from harness.events import EpochEnded, Event
from harness.trial import Trial
from workloads.datasets.spec import Split, mixed_seed
from workloads.schedule import START, WARMUP_CHECK_STEPS, ScheduleState


class Training:
    """One attempt at a trial: network, optimizer, data, and progress so far."""

    def __init__(self, trial: Trial, context: TrialContext, *, started: float, checkpoint: Checkpoint | None) -> None:
        """Start from the beginning or from a checkpoint. `started` is the attempt's start by the context's clock."""
        self.trial = trial
        self.recipe = trial.recipe
        self.context = context
        self.data = load_everywhere(trial.dataset, context)
        self.schedule = trial.schedule
        self.schedule_state = START
        self.module = build_module(trial, context.device)
        self.stepper = Stepper(self.module, self.recipe, context)
        self.record = EpochRecord(self.schedule.steps_per_epoch, context.device, context.clock)
        self.milestones: Milestones = {}
        self.epoch = 0
        self._lr = 0.0
        self.history = NO_HISTORY
        self.evaluate_s = 0.0
        self._earlier_s = 0.0
        self._started = started
        self._last_checkpoint = self.context.clock()
        self._resumed = checkpoint
        self._interrupts = Interrupts(context)
        self._tested: Evaluation | None = None
        self._is_test_long = True
        self._evaluator.check_room([PLAIN], "train")
        self._evaluator.check_room([PLAIN, *self._final_views], "test")
        if checkpoint is not None:
            self._restore(checkpoint)

    def train(self) -> str:
        """Train all epochs that are left. Return why the trial diverged, or an empty string.

        Raises:
            Stopped: a stop was requested; a checkpoint is written.
            TimedOut: the time is up; a checkpoint is written.
        """
        while self.epoch < self.schedule.epochs:
            self._train_epoch()
            rows = self._epoch_rows()
            lost = (~rows[:, Column.LOSS].isfinite()).nonzero()
            self._tested = test = None if len(lost) else self._test()
            self._close_epoch(rows, test)
            self._report_epoch(rows, test)
            if len(lost):
                step = int(lost[0]) + 1
                steps = self.schedule.steps_in(self.epoch - 1)
                return f"training loss not finite in epoch {self.epoch}, step {step} of {steps}"
            if self.epoch < self.schedule.epochs:
                self._after_epoch()
        return ""

    def _train_epoch(self) -> None:
        first_step, steps = self._begin_epoch(), self.schedule.steps_in(self.epoch)
        if first_step == steps:
            return  # resumed where only the evaluation was missing
        batches = self.data.train_batches(
            seed=self.trial.seed,
            epoch=self.epoch,
            batch_size=self.recipe.batch_size,
            rank=self.context.rank,
            world_size=self.context.world_size,
            augmentation=self.recipe.augmentation,
            first_step=first_step,
        )
        self.module.train()
        self.record.clock.start()
        for images, labels in batches:
            self._step(images, labels)
            if self.record.done == steps or self._between_steps():
                break

    def _step(self, images: Tensor, labels: Tensor) -> None:
        self._lr = self.schedule.lr_at(self._steps_done, self.schedule_state)
        self.record.add(self.stepper.step(images, labels, lr=self._lr))
        if self.schedule.waits_for_error(self.schedule_state) and self.record.done % WARMUP_CHECK_STEPS == 0:
            self._check_warmup()
        self.context.progressed()

    def _check_warmup(self) -> None:
        """Check whether the warm-up is over. A GPU waits for this, but only in the warm-up, and once in some steps."""
        errors = int(summed(self.record.errors_of_last(WARMUP_CHECK_STEPS), self.context.world_size))
        error_pct = 100 * errors / (WARMUP_CHECK_STEPS * self.recipe.batch_size)
        self.schedule_state = self.schedule.check_warmup(
            self.schedule_state, step=self._steps_done, error_pct=error_pct
        )

    @property
    def _steps_done(self) -> int:
        return self.epoch * self.schedule.steps_per_epoch + self.record.done

    def _test(self) -> Evaluation:
        """Return the test error after an epoch. Before an evaluation that may be long, a checkpoint is written."""
        last = self.epoch + 1 == self.schedule.epochs
        self._act_on_interrupts(
            checkpoint=self._idle_s >= self.context.settings.checkpoint_interval_s and (last or self._is_test_long)
        )
        started = self.context.clock()
        evaluation = self.evaluate("test")
        self._is_test_long = self.context.clock() - started >= self.context.settings.checkpoint_interval_s
        return evaluation

    def evaluate(self, split: Split) -> Evaluation:
        """Evaluate the current network on plain images. The time it takes is counted apart from training."""
        with self._evaluating():
            return self._evaluator.plain(self.module, split)

    def final_test(self) -> Evaluation:
        """Return the final test error by the recipe's protocol; the last epoch's, if that is the same."""
        if self.recipe.evaluation == "single-crop":
            return self._tested or self.evaluate("test")
        with self._evaluating():
            return self._evaluator.through(self._final_views, self.module, "test")

    @property
    def _final_views(self) -> tuple[View, ...]:
        return views(self.recipe.evaluation, self.trial.dataset.image_size)

    @property
    def _evaluator(self) -> Evaluator:
        return Evaluator(
            data=self.data,
            classes=self.trial.dataset.classes,
            # The same share as in training, so that evaluation never needs more memory than training.
            batch_size=self.recipe.batch_size // self.context.world_size,
            rank=self.context.rank,
            world_size=self.context.world_size,
            precision=self.stepper.precision,
        )

    @contextmanager
    def _evaluating(self) -> Iterator[None]:
        started = self.context.clock()
        hook = self.module.register_forward_pre_hook(lambda *_: self.context.progressed())
        try:
            yield
        finally:
            hook.remove()
        self.evaluate_s += self.context.clock() - started

    def _begin_epoch(self) -> int:
        """Seed the epoch, or go on from a checkpoint in the middle of it. Return the first step to do."""
        checkpoint, self._resumed = self._resumed, None
        rank, device = self.context.rank, self.context.device
        if checkpoint is None or checkpoint.running is None or checkpoint.random is None:
            seed_generators(mixed_seed(self.trial.seed, self.epoch, rank), device)
            self.record.begin()
        else:
            restore_random_state(checkpoint.random[rank], device)
            self.record.begin(checkpoint.running[rank])
        return self.record.done

    def _epoch_rows(self) -> Tensor:
        return over_ranks(gathered(self.record.rows(), self.context.world_size, self.context.device))

    def _close_epoch(self, rows: Tensor, test: Evaluation | None) -> None:
        """Count the epoch as done.

        A checkpoint from before this call has the epoch's steps, and an attempt that resumes from it evaluates them.
        """
        self.history = torch.cat([self.history, rows])
        self.epoch += 1
        self.schedule_state = self.schedule.after_epoch(self.schedule_state, error_pct=self._error_pct(rows))
        if test is not None:
            clocks = {"train_s": self.train_s, "evaluate_s": self.evaluate_s}
            self.milestones = passed(self.milestones, error_pct=test.error_pct, **clocks)

    def _error_pct(self, rows: Tensor) -> float:
        """Return the training error of some steps, counted while training."""
        return 100 * rows[:, Column.ERRORS].sum().item() / (len(rows) * self.recipe.batch_size)

    def _report_epoch(self, rows: Tensor, test: Evaluation | None) -> None:
        """Report one point of every series. Values that are not finite are left out."""
        images = len(rows) * self.recipe.batch_size
        seconds = rows[:, Column.SECONDS].sum().item()
        values = {
            "train/loss": rows[:, Column.LOSS].mean().item(),
            "train/error_pct": self._error_pct(rows),
            "train/lr": self._lr,
            "throughput/images_per_s": images / seconds,
            "time/train_s": self.train_s,
        }
        if test is not None:
            values |= {"test/loss": test.loss, "test/error_pct": test.error_pct}
            values |= {} if test.error_top5_pct is None else {"test/error_top5_pct": test.error_top5_pct}
        self.emit(
            EpochEnded(
                trial_id=self.trial.id, attempt=self.context.attempt, epoch=self.epoch, values=only_finite(values)
            )
        )

    def emit(self, event: Event) -> None:
        """Send an event, from rank 0 alone."""
        if self.context.rank == 0:
            self.context.emit(event)

    def _between_steps(self) -> bool:
        """Write a checkpoint or obey a request if one is due. Return whether the loss has stopped being finite."""
        if self.record.done % self._loss_steps == 0 and self._is_loss_lost():
            return True
        if self._interrupts.is_poll_due():
            every_s = self.context.settings.checkpoint_every_s
            self._act_on_interrupts(checkpoint=every_s is not None and self._idle_s >= every_s)
        every = self.context.settings.checkpoint_every_steps
        if every and self.record.done % every == 0:
            self.checkpoint()
        return False

    @property
    def _loss_steps(self) -> int:
        """Steps between two checks of the loss. A GPU waits for each. Fixed, so that a trial ends at the same step."""
        if self.context.device.type == "cuda":
            return 100
        return 1 if self.context.world_size == 1 else 10

    def _is_loss_lost(self) -> bool:
        mine = not self.record.last_loss_is_finite()
        return any_rank([mine], self.context.world_size, self.context.device)[0]

    @property
    def _idle_s(self) -> float:
        """Seconds since the last checkpoint, counted on rank 0, which writes them; 0 on other ranks."""
        return self.context.clock() - self._last_checkpoint if self.context.rank == 0 else 0.0

    def _act_on_interrupts(self, *, checkpoint: bool = False) -> None:
        """Act on the requests that any rank has seen, on all ranks at the same step."""
        timeout_s = self.context.settings.timeout_s
        late = timeout_s is not None and self._attempt_s > timeout_s
        interrupt = self._interrupts.poll(late=late, checkpoint=checkpoint)
        if any(interrupt):
            self.checkpoint()
        where = f"after {self.epoch} of {self.schedule.epochs} epochs and {self.record.done} steps"
        if interrupt.stop:
            raise Stopped(f"stopped {where}")
        if interrupt.late:
            raise TimedOut(f"out of time {where}")

    def _after_epoch(self) -> None:
        self.record.begin()
        # At an epoch's end rank 0 has the whole state, so it may decide alone, by its own clock.
        if self.context.rank == 0 and self._idle_s >= self.context.settings.checkpoint_interval_s:
            self._write_checkpoint()
        self._act_on_interrupts()

    def checkpoint(self) -> None:
        """Write a checkpoint of the current state. All ranks take part. The time it takes counts for no step."""
        world_size, device = self.context.world_size, self.context.device
        running = random = None
        if self.record.done:
            running = gathered(self.record.rows(), world_size, device)
            random = gathered(random_state(device), world_size, device)
        if self.context.rank == 0:
            self._write_checkpoint(running=running, random=random)
        self.record.clock.start()

    def _write_checkpoint(self, *, running: Tensor | None = None, random: Tensor | None = None) -> None:
        self.context.flush()
        checkpoint = Checkpoint(
            trial_id=self.trial.id,
            epoch=self.epoch,
            step=self.record.done,
            module=self.module.state_dict(),
            stepper=self.stepper.state(),
            schedule=dataclasses.asdict(self.schedule_state),
            lr=self._lr,
            milestones=self.milestones,
            history=self.history,
            running=running,
            random=random,
            evaluate_s=self.evaluate_s,
            total_s=self.total_s,
        )
        CheckpointFolder.of(self.context).write(checkpoint)
        self._last_checkpoint = self.context.clock()

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._take_undone_step()
        self.module.load_state_dict(checkpoint.module)
        self.stepper.restore(checkpoint.stepper)
        self.schedule_state = ScheduleState(**checkpoint.schedule)
        self._lr, self.milestones = checkpoint.lr, checkpoint.milestones
        self.epoch, self.history = checkpoint.epoch, checkpoint.history
        self.evaluate_s, self._earlier_s = checkpoint.evaluate_s, checkpoint.total_s

    def _take_undone_step(self) -> None:
        """Take a step that the checkpoint then undoes, if several workers share batches.

        DDP adds up gradients in another order in its first step than in all later ones, and the checkpoint's trial has
        had its first step. Without this, three workers or more would round their sums differently than in a trial that
        was never interrupted.
        """
        if self.stepper.network.parallel is None:
            return
        dataset, share = self.trial.dataset, self.recipe.batch_size // self.context.world_size
        pixels = (share, dataset.channels, dataset.image_size, dataset.image_size)
        self.module.train()
        self.stepper.step(
            torch.zeros(pixels, device=self.context.device),
            torch.zeros(share, dtype=torch.int64, device=self.context.device),
            lr=0.0,
        )

    @property
    def train_s(self) -> float:
        """Seconds of all steps."""
        return self.history[:, Column.SECONDS].sum().item()

    @property
    def total_s(self) -> float:
        """Seconds of the whole trial, earlier attempts included as far as the checkpoint knows them."""
        return self._earlier_s + self._attempt_s

    @property
    def _attempt_s(self) -> float:
        return self.context.clock() - self._started
