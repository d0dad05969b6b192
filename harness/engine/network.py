"""From a trial's settings to what is trained: weights, their runnable form, their optimizer."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from harness.engine.context import TrialContext
from harness.engine.distributed import data_parallel
from harness.trial import Trial
from workloads.recipes import Recipe


def build_module(trial: Trial, device: torch.device) -> nn.Module:
    """The network on the device, its weights drawn on the host: a seed gives the same ones whatever the device."""
    dataset = trial.dataset
    module = trial.model.build(
        in_channels=dataset.channels, num_classes=dataset.classes, image_size=dataset.image_size
    ).to(device)
    return module.to(memory_format=torch.channels_last) if trial.recipe.channels_last else module


def runnable(module: nn.Module, recipe: Recipe, context: TrialContext) -> Callable[[Tensor], Tensor]:
    """The same weights as training calls them: over all workers, compiled. Evaluation calls the bare module."""
    network = data_parallel(module, context.device) if context.world_size > 1 else module
    return torch.compile(network) if recipe.compile else network


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with momentum; weight decay on all parameters, as in the papers. The rate is set at each step."""
    return torch.optim.SGD(
        module.parameters(), lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )


def precision(recipe: Recipe, device: torch.device) -> torch.autocast:
    """The context in which the network and its loss are computed; weights stay fp32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=recipe.precision == "bf16")
