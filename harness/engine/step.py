"""One training step: forward, backward and the optimizer, on this worker's share of a global batch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.engine.context import TrialContext
from harness.engine.network import gradient_scaler, make_optimizer, precision, runnable
from workloads.recipes import Recipe


class StepOutput(NamedTuple):
    """The result of a step on this worker's share, on the device: mean loss and number of errors."""

    loss: Tensor
    errors: Tensor


Phase = Literal["forward", "backward", "optimizer"]


class Stepper:
    """Takes training steps. `state` returns all that it must remember besides the module's weights."""

    def __init__(
        self,
        module: nn.Module,
        recipe: Recipe,
        context: TrialContext,
        *,
        passed: Callable[[Phase], None] = lambda _phase: None,
    ) -> None:
        """Call `passed` at the end of each phase of a step, as the host sees it; with parts, for each part in turn."""
        self._recipe = recipe
        self._passed = passed
        self.network = runnable(module, recipe, context)
        self.optimizer = make_optimizer(module, recipe)
        self.scaler = gradient_scaler(recipe, context.device)
        self.precision = precision(recipe, context.device)

    def step(self, images: Tensor, labels: Tensor, *, lr: float) -> StepOutput:
        """Run forward, backward, and one step of the optimizer at this learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if self._recipe.channels_last:
            images = images.to(memory_format=torch.channels_last)
        micro = self._recipe.micro_batch_size or len(labels)
        output = self._whole(images, labels) if micro >= len(labels) else self._in_parts(images, labels, micro)
        # Without fp16 the scaler does nothing but call the optimizer.
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self._passed("optimizer")
        return output

    def _whole(self, images: Tensor, labels: Tensor) -> StepOutput:
        self.optimizer.zero_grad(set_to_none=True)
        logits, loss = self._forward(images, labels)
        self._backward(loss)
        return _output(logits, loss, labels)

    def _in_parts(self, images: Tensor, labels: Tensor, micro: int) -> StepOutput:
        """Sum the same gradients over parts: each part's mean loss is weighted by its share of the images."""
        self.optimizer.zero_grad(set_to_none=True)
        outputs = []
        for first in range(0, len(labels), micro):
            part = slice(first, first + micro)
            last = first + micro >= len(labels)
            # The workers' gradients are averaged once, in the last backward pass.
            with contextlib.nullcontext() if last else self.network.alone():
                logits, loss = self._forward(images[part], labels[part])
                loss = loss * (len(labels[part]) / len(labels))
                self._backward(loss)
            outputs.append(_output(logits, loss, labels[part]))
        losses, errors = zip(*outputs, strict=True)
        return StepOutput(torch.stack(losses).sum(), torch.stack(errors).sum())

    def _forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        with self.precision:
            logits = self.network.call(images)
            loss = functional.cross_entropy(logits, labels)
        self._passed("forward")
        return logits, loss

    def _backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._passed("backward")

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])


def _output(logits: Tensor, loss: Tensor, labels: Tensor) -> StepOutput:
    return StepOutput(loss.detach(), (logits.detach().argmax(1) != labels).sum())
