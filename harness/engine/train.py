"""Training: the loop over epochs and steps, and what may interrupt it."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.engine.checkpoint import Checkpoint, CheckpointFolder
from harness.engine.context import TrialContext
from harness.engine.distributed import any_rank, data_parallel, gathered
from harness.engine.evaluate import Evaluation, evaluate
from harness.engine.process import load_dataset
from harness.engine.randomness import random_state, restore_random_state, seed_generators
from harness.engine.record import Column, EpochRecord, over_ranks
from harness.errors import HarnessError, Stopped
from harness.events import EpochEnded, Event
from harness.trial import Trial
from workloads.datasets.spec import Split, mixed_seed, steps_per_epoch


class TimedOut(HarnessError):
    """A trial that used up its time."""


class Training:
    """One attempt at a trial: network, optimizer, data, and what has been done so far."""

    def __init__(self, trial: Trial, context: TrialContext, *, started: float) -> None:
        self.trial = trial
        self.recipe = trial.recipe
        self.context = context
        self.data = load_dataset(trial.dataset, context.device)
        self.steps_per_epoch = steps_per_epoch(trial.dataset.train_images, self.recipe.batch_size)
        self.module = self._build()
        self.network = self._runnable()
        self.optimizer = torch.optim.SGD(
            self.module.parameters(),
            lr=self.recipe.lr,
            momentum=self.recipe.momentum,
            weight_decay=self.recipe.weight_decay,
        )
        self.autocast = torch.autocast(
            context.device.type, dtype=torch.bfloat16, enabled=self.recipe.precision == "bf16"
        )
        self.record = EpochRecord(self.steps_per_epoch, context.device)
        self.checkpoints = CheckpointFolder(context.folder / "checkpoints")
        self.epoch = 0
        self.history = torch.empty(0, len(Column), dtype=torch.float64)
        self.evaluate_s = 0.0
        self._started = started
        self._last_checkpoint = time.perf_counter()
        self._earlier_s = 0.0
        self._resumed: Checkpoint | None = None

    def _build(self) -> nn.Module:
        dataset = self.trial.dataset
        module = self.trial.model.build(
            in_channels=dataset.channels, num_classes=dataset.classes, image_size=dataset.image_size
        )
        # Built on the host, so that a seed gives the same weights whatever the device.
        module = module.to(self.context.device)
        return module.to(memory_format=torch.channels_last) if self.recipe.channels_last else module

    def _runnable(self) -> Callable[[Tensor], Tensor]:
        network = data_parallel(self.module, self.context.device) if self.context.world_size > 1 else self.module
        return torch.compile(network) if self.recipe.compile else network

    # The loop

    def train(self) -> str:
        """All epochs that are left. Says why the trial diverged, or nothing.

        Raises:
            Stopped: asked to stop; a checkpoint is written.
            TimedOut: out of time; a checkpoint is written.
        """
        while self.epoch < self.recipe.epochs:
            self._train_epoch()
            rows = self._close_epoch()
            lost = (~rows[:, Column.LOSS].isfinite()).nonzero()
            self._report_epoch(rows, None if len(lost) else self.evaluate("test"))
            if len(lost):
                step = int(lost[0]) + 1
                return f"training loss not finite in epoch {self.epoch}, step {step} of {self.steps_per_epoch}"
            if self.epoch < self.recipe.epochs:
                self._after_epoch()
        return ""

    def _train_epoch(self) -> None:
        first_step = self._begin_epoch()
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
            if self.record.done < self.steps_per_epoch and self._between_steps():
                break

    def _step(self, images: Tensor, labels: Tensor) -> None:
        self.optimizer.param_groups[0]["lr"] = self.recipe.lr_at(
            self.epoch * self.steps_per_epoch + self.record.done, self.recipe.epochs * self.steps_per_epoch
        )
        if self.recipe.channels_last:
            images = images.to(memory_format=torch.channels_last)
        with self.autocast:
            logits = self.network(images)
            loss = functional.cross_entropy(logits, labels)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.record.add(loss, logits, labels)

    def evaluate(self, split: Split) -> Evaluation:
        """The network as it stands, on plain images; the time it takes is kept apart from training's."""
        started = time.perf_counter()
        evaluation = evaluate(
            self.module,
            self.data,
            split,
            classes=self.trial.dataset.classes,
            # Training's own share, so that evaluation never needs more memory than training did.
            batch_size=self.recipe.batch_size // self.context.world_size,
            rank=self.context.rank,
            world_size=self.context.world_size,
            autocast=self.autocast,
        )
        self.evaluate_s += time.perf_counter() - started
        return evaluation

    # An epoch's beginning and end

    def _begin_epoch(self) -> int:
        """Set the epoch's seeds, or what a checkpoint in the middle of it kept. The first step to do."""
        checkpoint, self._resumed = self._resumed, None
        if checkpoint is None or checkpoint.random is None:
            seed_generators(mixed_seed(self.trial.seed, self.epoch, self.context.rank), self.context.device)
            self.record.begin()
            return 0
        restore_random_state(checkpoint.random[self.context.rank], self.context.device)
        self.record.begin(checkpoint.running[self.context.rank])
        return checkpoint.step

    def _close_epoch(self) -> Tensor:
        rows = over_ranks(gathered(self.record.rows(), self.context.world_size, self.context.device))
        self.history = torch.cat([self.history, rows])
        self.epoch += 1
        return rows

    def _report_epoch(self, rows: Tensor, test: Evaluation | None) -> None:
        """One point of every series, those that are not finite left out."""
        images = len(rows) * self.recipe.batch_size
        seconds = rows[:, Column.SECONDS].sum().item()
        values = {
            "train/loss": rows[:, Column.LOSS].mean().item(),
            "train/error_pct": 100 * rows[:, Column.ERRORS].sum().item() / images,
            "throughput/images_per_s": images / seconds,
            "time/train_s": self.train_s,
        }
        if test is not None:
            values |= {"val/loss": test.loss, "val/error_pct": test.error_pct}
        self.emit(
            EpochEnded(
                trial_id=self.trial.id, attempt=self.context.attempt, epoch=self.epoch, values=only_finite(values)
            )
        )

    def emit(self, event: Event) -> None:
        """Send an event, from rank 0 alone."""
        if self.context.rank == 0:
            self.context.emit(event)

    # Interruptions

    def _between_steps(self) -> bool:
        """Write a checkpoint and obey a request where one is due. Whether the loss is lost for good."""
        done, every = self.record.done, self.context.checkpoint_every_steps
        lost = False
        if done % self._check_steps == 0:
            lost = self._obey(loss_lost=not self.record.last_loss_is_finite())
        if every and done % every == 0 and not lost:
            self.checkpoint()
        return lost

    @property
    def _check_steps(self) -> int:
        """Steps between looks at requests and the loss. Each look makes a GPU wait, and several workers agree."""
        if self.context.device.type == "cuda":
            return 100
        return 1 if self.context.world_size == 1 else 10

    def _obey(self, *, loss_lost: bool = False) -> bool:
        """What any rank has seen, all ranks act upon, at the same step. Whether some rank's loss is lost."""
        late = self.context.timeout_s is not None and self.total_s > self.context.timeout_s
        flags = [loss_lost, self.context.stop_requested(), late]
        loss_lost, stop, late = any_rank(flags, self.context.world_size, self.context.device)
        if (stop or late) and not loss_lost:
            self.checkpoint()
            where = f"after {self.epoch} of {self.recipe.epochs} epochs and {self.record.done} steps"
            raise Stopped(f"stopped {where}") if stop else TimedOut(f"out of time {where}")
        return loss_lost

    def _after_epoch(self) -> None:
        self.record.begin()
        # At an epoch's end rank 0 holds all there is to keep, so it may decide alone, by its own clock.
        idle_s = time.perf_counter() - self._last_checkpoint
        if self.context.rank == 0 and idle_s >= self.context.checkpoint_interval_s:
            self._write_checkpoint(random=None, running=self.record.rows()[None])
        self._obey()

    # Checkpoints

    def checkpoint(self) -> None:
        """Keep the trial as it stands. All ranks take part; the time it takes counts for no step."""
        world_size, device = self.context.world_size, self.context.device
        running = gathered(self.record.rows(), world_size, device)
        random = gathered(random_state(device), world_size, device) if self.record.done else None
        if self.context.rank == 0:
            self._write_checkpoint(random=random, running=running)
        self.record.clock.start()

    def _write_checkpoint(self, *, random: Tensor | None, running: Tensor) -> None:
        self.checkpoints.write(
            Checkpoint(
                trial_id=self.trial.id,
                epoch=self.epoch,
                step=self.record.done,
                module=self.module.state_dict(),
                optimizer=self.optimizer.state_dict(),
                history=self.history,
                running=running,
                random=random,
                evaluate_s=self.evaluate_s,
                total_s=self.total_s,
            )
        )
        self._last_checkpoint = time.perf_counter()

    def resume(self) -> float | None:
        """Go on from the newest checkpoint. The epochs it has done, or None where there is none."""
        checkpoint = self.checkpoints.read(trial_id=self.trial.id, world_size=self.context.world_size)
        if checkpoint is None:
            return None
        self.module.load_state_dict(checkpoint.module)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.epoch, self.history = checkpoint.epoch, checkpoint.history
        self.evaluate_s, self._earlier_s = checkpoint.evaluate_s, checkpoint.total_s
        self._resumed = checkpoint
        return checkpoint.epoch + checkpoint.step / self.steps_per_epoch

    # Times, earlier attempts included

    @property
    def train_s(self) -> float:
        """Seconds of all steps."""
        return self.history[:, Column.SECONDS].sum().item()

    @property
    def total_s(self) -> float:
        """Seconds of everything."""
        return self._earlier_s + time.perf_counter() - self._started


def only_finite(values: dict[str, float]) -> dict[str, float]:
    """What is not a number is not known, and what is not known is left out."""
    return {key: value for key, value in values.items() if abs(value) < float("inf")}
