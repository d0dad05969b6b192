"""Recipes: the settings of a training, as frozen data. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import Annotated, Any, Literal

Protocol = Literal["single-crop", "10-crop", "multi-scale"]
"""Views of a test image over which its error is counted."""

CROP = 224
"""Side of the papers' crops, in pixels; the lengths of evaluation below belong to it."""
CROPPED_FROM = 256
"""Shorter side, in pixels, of the image from which ten crops are taken (Krizhevsky 2012, section 4.1)."""
SCALES = (224, 256, 384, 480, 640)
"""Shorter sides of multi-scale evaluation, in pixels (He 2015, section 3.4)."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Optimizer, schedule, batch, augmentation, precision, evaluation. A workload file can override every field.

    Each number is annotated with its bounds in a workload file, which are far beyond common trainings.
    """

    epochs: Annotated[int | None, (1, 100_000)] = None
    """Length of the training in epochs, which have only whole batches; either this or `iterations` is given."""
    iterations: Annotated[int | None, (1, 100_000_000)] = None
    """Length of the training in steps."""
    batch_size: Annotated[int, (1, 1_000_000)]
    """Images a step over all workers, who share them; the number of workers does not change it."""
    micro_batch_size: Annotated[int | None, (1, 1_000_000)] = None
    """Images that a worker takes through the network at once. Gradients are summed over its share of a step. None means
    the whole share. The weights differ only by batch norm, whose statistics are then over this many images."""

    lr: Annotated[float, (1e-9, 1_000)]
    """Highest learning rate; see `lr_scaling_images`."""
    lr_scaling_images: Annotated[int | None, (1, 1_000_000)] = None
    """Images a step to which `lr` belongs, in the linear scaling rule: it grows with `batch_size`. None: no rule."""
    schedule: Literal["constant", "linear", "steps", "plateau"] = "linear"
    """Learning rate after the warm-up: constant; linear from `lr` to zero at the step after the last one; multiplied
    by `lr_drop_factor` at fixed steps; or so multiplied when the training error stops falling (plateau)."""
    lr_drop_epochs: Annotated[tuple[int, ...], (1, 100_000)] = ()
    """Epochs after which the rate drops, for `steps`."""
    lr_drop_iterations: Annotated[tuple[int, ...], (1, 100_000_000)] = ()
    """Iterations after which the rate drops, for `steps`."""
    lr_drop_factor: Annotated[float, (1e-9, 1)] = 0.1
    plateau_epochs: Annotated[int, (1, 100_000)] = 5
    """Epochs without a training error `plateau_points` below the best, after which `plateau` drops the rate."""
    plateau_points: Annotated[float, (0, 100)] = 0.1
    """Least fall of the training error that counts, in percentage points."""

    warmup_fraction: Annotated[float, (0, 1)] = 0.0
    """Length of the warm-up as a share of all steps. The next two fields give it in epochs or iterations instead."""
    warmup_epochs: Annotated[int, (0, 100_000)] = 0
    warmup_iterations: Annotated[int, (0, 100_000_000)] = 0
    warmup_until_error_pct: Annotated[float | None, (1e-3, 100)] = None
    """Training error in percent over some steps below which the warm-up ends; see `Schedule.check_warmup`."""
    warmup_lr: Annotated[float | None, (1e-9, 1_000)] = None
    """Rate at the first step of the warm-up. None: the rate climbs from zero, at the step before the first."""
    warmup_shape: Literal["climb", "hold"] = "climb"
    """Shape of the warm-up. climb: linearly to `lr`; hold: `warmup_lr` all the time."""

    momentum: Annotated[float, (0, 1)] = 0.9
    nesterov: bool = False
    weight_decay: Annotated[float, (0, 100)] = 1e-4
    weight_decay_norm: bool = True
    """Whether weight decay includes the scales and shifts of normalization layers."""
    zero_gamma: bool = False
    """Whether the last batch norm of each residual branch starts with scale 0, so that units start as identities."""
    classifier_std: Annotated[float | None, (0, 100)] = None
    """Standard deviation of the classifier's initial weights, normal around 0. None: the model's own."""

    augmentation: Literal["none", "crop-flip", "scale-jitter", "random-resized-crop"] = "none"
    """crop-flip: padded by 4 pixels, cropped at random, mirrored (He 2015, section 4.2). scale-jitter: shorter side of
    256 to 480 pixels, 224 cropped at random, mirrored, PCA colour (section 3.4). random-resized-crop: a crop of random
    area and aspect ratio, mirrored (Szegedy 2015). Each data set supports some of them."""
    evaluation: Protocol = "single-crop"
    """Views for the final test error; after each epoch it is a single crop. 10-crop: corners, centre and their
    mirror images; multi-scale: whole images, shorter sides 224, 256, 384, 480 and 640 pixels. Scores are averaged."""
    precision: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    """Number format of the training. fp16 comes with gradient scaling; tf32 needs a GPU."""
    channels_last: bool = False
    compile: bool = False
    cuda_graphs: bool = False
    """Whether kernels of a compiled network are recorded once and then started together; needs `compile` and a GPU."""
    fused_optimizer: bool = False
    """Whether one kernel updates all weights, in place of one for each kind of operation; equal up to rounding."""

    def __post_init__(self) -> None:
        _check_length(self)
        _check_rates(self)
        _check_warmup(self)
        _check_optimizer(self)
        _check_graphs(self)

    def changed(self, **changes: Any) -> Recipe:
        """Return the recipe with some fields changed. A length in the other unit replaces this one's."""
        for unit, other in (("epochs", "iterations"), ("iterations", "epochs")):
            if changes.get(unit) is not None:
                changes = {other: None, **changes}
        return dataclasses.replace(self, **changes)

    @property
    def differences(self) -> dict[str, Any]:
        """Fields whose value is not the default. They describe the recipe."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        }


def _check_length(recipe: Recipe) -> None:
    for name in ("epochs", "iterations", "batch_size", "micro_batch_size", "lr_scaling_images"):
        value = getattr(recipe, name)
        _check(value is None or value >= 1, f"{name} is {value}; it must be at least 1")
    both = recipe.epochs is not None and recipe.iterations is not None
    _check(not both, f"epochs is {recipe.epochs} and iterations is {recipe.iterations}; a recipe has one length")
    none = recipe.epochs is None and recipe.iterations is None
    _check(not none, "a recipe lacks its length: epochs or iterations")


def _check_rates(recipe: Recipe) -> None:
    _check(recipe.lr > 0, f"lr is {recipe.lr}; it must be above 0")
    drops = {"lr_drop_epochs": recipe.lr_drop_epochs, "lr_drop_iterations": recipe.lr_drop_iterations}
    for name, values in drops.items():
        rising = all(early < late for early, late in itertools.pairwise((0, *values)))
        _check(rising, f"{name} is {list(values)}; it must rise from at least 1")
        stepwise = recipe.schedule == "steps" or not values
        _check(stepwise, f"{name} is for schedule steps; schedule {recipe.schedule} has none: make it []")
    given = [name for name, values in drops.items() if values]
    _check(len(given) < 2, "lr_drop_epochs and lr_drop_iterations exclude each other: make one of them []")
    _check(bool(given) or recipe.schedule != "steps", "schedule steps needs lr_drop_epochs or lr_drop_iterations")
    _check(0 < recipe.lr_drop_factor < 1, f"lr_drop_factor is {recipe.lr_drop_factor}; it must be in (0, 1)")
    _check(recipe.plateau_epochs >= 1, f"plateau_epochs is {recipe.plateau_epochs}; it must be at least 1")
    _check(recipe.plateau_points >= 0, f"plateau_points is {recipe.plateau_points}; it must not be negative")


def _check_warmup(recipe: Recipe) -> None:
    _check(0 <= recipe.warmup_fraction < 1, f"warmup_fraction is {recipe.warmup_fraction}; it must be in [0, 1)")
    for name in ("warmup_epochs", "warmup_iterations"):
        value = getattr(recipe, name)
        _check(value >= 0, f"{name} is {value}; it must not be negative")
    until = recipe.warmup_until_error_pct
    _check(until is None or 0 < until <= 100, f"warmup_until_error_pct is {until}; it must be in (0, 100]")
    lengths = ("warmup_fraction", "warmup_epochs", "warmup_iterations", "warmup_until_error_pct")
    given = [name for name in lengths if getattr(recipe, name)]
    _check(len(given) < 2, f"{' and '.join(given)} exclude each other: a warm-up has one length")
    rate = recipe.warmup_lr
    _check(rate is None or rate > 0, f"warmup_lr is {rate}; it must be above 0")
    _check(rate is None or bool(given), f"warmup_lr is {rate}, but there is no warm-up: give its length")
    _check(recipe.warmup_shape == "climb" or rate is not None, "warmup_shape hold needs warmup_lr")
    held = until is None or recipe.warmup_shape == "hold"
    _check(held, "warmup_until_error_pct needs warmup_shape hold: nobody knows how long the climb would be")


def _check_graphs(recipe: Recipe) -> None:
    _check(recipe.compile or not recipe.cuda_graphs, "cuda_graphs needs compile: true")
    whole = recipe.micro_batch_size is None or not recipe.cuda_graphs
    # A graph's second replay overwrites the gradients of its first.
    _check(whole, "cuda_graphs and micro_batch_size exclude each other: gradients of parts cannot be summed up")


def _check_optimizer(recipe: Recipe) -> None:
    _check(0 <= recipe.momentum < 1, f"momentum is {recipe.momentum}; it must be in [0, 1)")
    _check(recipe.momentum > 0 or not recipe.nesterov, "nesterov needs a momentum above 0")
    _check(recipe.weight_decay >= 0, f"weight_decay is {recipe.weight_decay}; it must not be negative")
    std = recipe.classifier_std
    _check(std is None or std >= 0, f"classifier_std is {std}; it must not be negative")


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


_HE_2015_CIFAR = Recipe(
    iterations=64_000,
    batch_size=128,
    lr=0.1,
    schedule="steps",
    lr_drop_iterations=(32_000, 48_000),
    augmentation="crop-flip",
)
_HE_2015_IMAGENET = Recipe(
    iterations=600_000,
    batch_size=256,
    lr=0.1,
    schedule="plateau",
    augmentation="scale-jitter",
    evaluation="10-crop",
)

RECIPES: dict[str, Recipe] = {
    # For small machines.
    "quick": Recipe(epochs=12, batch_size=64, lr=0.1, schedule="linear", warmup_fraction=0.25),
    # For `measure: throughput`: its length is the number of timed steps.
    "timing": Recipe(iterations=200, batch_size=256, lr=0.01, schedule="constant"),
    # He 2015 (arXiv 1512.03385), section 4.2; its 110 layers start at a tenth of the rate.
    "he2015-cifar": _HE_2015_CIFAR,
    "he2015-cifar-110": dataclasses.replace(
        _HE_2015_CIFAR, warmup_until_error_pct=80.0, warmup_lr=0.01, warmup_shape="hold"
    ),
    # He 2015, section 3.4, "up to 60 x 10^4 iterations": the rate drops "when the error plateaus", by a rule that the
    # paper does not give; or, as most who repeat it do, each time after so many iterations, some 30 epochs.
    "he2015-imagenet": _HE_2015_IMAGENET,
    "he2015-imagenet-steps": dataclasses.replace(
        _HE_2015_IMAGENET, schedule="steps", lr_drop_iterations=(150_000, 300_000, 450_000)
    ),
    # He 2016 (arXiv 1603.05027), appendix: as before, with a warm-up for all CIFAR nets.
    "he2016-cifar": dataclasses.replace(_HE_2015_CIFAR, warmup_iterations=400, warmup_lr=0.01, warmup_shape="hold"),
    # Its Table 4, first row: the released code (KaimingHe/resnet-1k-layers on facebook/fb.resnet.torch), 1-based epochs
    # 81 and 122 there.
    "he2016-cifar-64": Recipe(
        epochs=200,
        batch_size=64,
        lr=0.1,
        schedule="steps",
        lr_drop_epochs=(80, 121),
        nesterov=True,
        augmentation="crop-flip",
    ),
    # He 2016, appendix; the length is that of the code which its authors used, facebook/fb.resnet.torch.
    "he2016-imagenet": dataclasses.replace(
        _HE_2015_IMAGENET,
        iterations=None,
        epochs=90,
        schedule="steps",
        lr_drop_epochs=(30, 60),
        evaluation="single-crop",
    ),
    # Goyal 2017 (arXiv 1706.02677), sections 2.1, 2.2 and 5.1. Batch norm is over 32 images whatever the batch.
    "goyal2017-imagenet": Recipe(
        epochs=90,
        batch_size=256,
        micro_batch_size=32,
        lr=0.1,
        lr_scaling_images=256,
        schedule="steps",
        lr_drop_epochs=(30, 60, 80),
        warmup_epochs=5,
        warmup_lr=0.1,
        nesterov=True,
        weight_decay_norm=False,
        zero_gamma=True,
        classifier_std=0.01,
        augmentation="random-resized-crop",
    ),
}
