"""The network of a trial: its weights, their runnable form, and their optimizer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from harness.engine.context import TrialContext
from harness.engine.distributed import data_parallel
from harness.trial import Trial
from models.blocks import ExclusiveGateUnit, ResidualUnit
from workloads.recipes import Recipe

Norm = nn.modules.batchnorm._BatchNorm  # noqa: SLF001  # torch has no other name for all its batch norms
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Network:
    """The network as training calls it: over all workers, compiled. Evaluation calls the bare module."""

    call: Callable[[Tensor], Tensor]
    parallel: DistributedDataParallel | None

    def alone(self) -> AbstractContextManager[None]:
        """Keep the gradients of backward passes in this context on this worker. The next pass outside sums them up."""
        return contextlib.nullcontext() if self.parallel is None else self.parallel.no_sync()


def build_module(trial: Trial, device: torch.device) -> nn.Module:
    """Build the network on the device. Its weights are drawn on the host: a seed gives the same ones on any device."""
    dataset, recipe = trial.dataset, trial.recipe
    module = trial.model.build(in_channels=dataset.channels, num_classes=dataset.classes, image_size=dataset.image_size)
    initialize(module, recipe)
    module = module.to(device)
    return module.to(memory_format=torch.channels_last) if recipe.channels_last else module


@torch.no_grad()
def initialize(module: nn.Module, recipe: Recipe) -> None:
    """Set the weights that the recipe initializes differently from the model (Goyal 2017, section 5.1)."""
    if recipe.zero_gamma:
        for norm in last_norms(module):
            norm.weight.zero_()
    if recipe.classifier_std is not None:
        classifier = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
        nn.init.normal_(classifier.weight, std=recipe.classifier_std)


def last_norms(module: nn.Module) -> Iterable[Norm]:
    """Return the last batch norm of each residual branch.

    Raises:
        ValueError: there is no residual branch, or one of them has no batch norm.
    """
    branches = [unit.branch for unit in module.modules() if isinstance(unit, ResidualUnit | ExclusiveGateUnit)]
    norms = [[layer for layer in branch.modules() if isinstance(layer, Norm)][-1:] for branch in branches]
    if not all(norms) or not norms:
        raise ValueError("zero_gamma needs residual branches that end in batch norm")
    return [norm for found in norms for norm in found]


def runnable(module: nn.Module, recipe: Recipe, context: TrialContext) -> Network:
    """Return the same weights in the form that training calls."""
    parallel = data_parallel(module, context.device) if context.world_size > 1 else None
    network = module if parallel is None else parallel
    return Network(compiled(network, recipe), parallel)


def compiled(network: nn.Module, recipe: Recipe) -> Callable[[Tensor], Tensor]:
    """Compile the network if the recipe asks for it."""
    if not recipe.compile:
        return network
    # Every step of a trial has the same shapes, so a graph recorded once serves all of them.
    return torch.compile(network, mode="reduce-overhead" if recipe.cuda_graphs else None, dynamic=False)


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return SGD with momentum; weight decay on all parameters, or all but normalization's. Each step sets the rate."""
    return torch.optim.SGD(
        _decay_groups(module, recipe),
        lr=recipe.lr,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        nesterov=recipe.nesterov,
        fused=recipe.fused_optimizer or None,  # None leaves the choice among the others to torch
    )


def _decay_groups(module: nn.Module, recipe: Recipe) -> list[dict[str, object]]:
    if recipe.weight_decay_norm:
        return [{"params": list(module.parameters())}]
    kinds = (Norm, nn.LayerNorm, nn.GroupNorm)
    norm = {id(own) for layer in module.modules() if isinstance(layer, kinds) for own in layer.parameters()}
    groups = [[own for own in module.parameters() if (id(own) in norm) is is_norm] for is_norm in (False, True)]
    return [{"params": groups[0]}, {"params": groups[1], "weight_decay": 0.0}]


def precision(recipe: Recipe, device: torch.device) -> torch.autocast:
    """Return the context in which the network and its loss are computed; weights stay fp32."""
    dtype = AUTOCAST.get(recipe.precision)
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def gradient_scaler(recipe: Recipe, device: torch.device) -> torch.amp.GradScaler:
    """Return a scaler that keeps small fp16 gradients above zero and skips steps that overflow; idle elsewhere."""
    return torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
