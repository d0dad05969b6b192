"""Cells that nobody trained, for tests and simulations of claims: the settings that matter, and one error a seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reports.claims.contrasts import HE_2015_CIFAR, HE_2015_CIFAR_110
from reports.stats.cells import TEST_ERROR, TRAIN_ERROR, Cell, Trial

CIFAR = {
    "model.name": "resnet_cifar",
    "model.width": 16,
    "model.cardinality": 1,
    "model.se": 0,
    "model.block": "basic",
    "model.activation": "original",
    "dataset.name": "cifar10",
    "dataset.split": "all",
    "recipe.evaluation": "single-crop",
}
IMAGENET = {
    "model.name": "resnet_imagenet",
    "model.width": 64,
    "model.cardinality": 1,
    "model.se": 0,
    "model.stride_in": "3x3",
    "model.activation": "original",
    "dataset.name": "imagenet",
    "dataset.image_size": 224,
}


def cell(
    label: str,
    settings: dict[str, Any],
    test: Sequence[float | None],
    train: Sequence[float] | None = None,
    *,
    images: int | None = 10_000,
    macs: float | None = None,
    outcome: str = "finished",
) -> Cell:
    """One cell; `train` is the test error where it is not given."""
    trials = []
    for seed, value in enumerate(test):
        row = {**settings, TEST_ERROR: value, TRAIN_ERROR: value if train is None else train[seed]}
        row |= {"final/val_images": images, "final/train_images": 5 * images if images else None}
        trials.append(Trial(trial_id=f"{label}/{seed}", seed=seed, outcome=outcome, row=row))
    depth, shortcut = settings.get("model.depth"), settings.get("model.shortcut")
    return Cell(
        cell_id=label,
        label=label,
        depth=depth,
        shortcut=shortcut,
        variant="",
        trials=tuple(trials),
        planned_macs=macs,
    )


def _training(depth: int, shortcut: str) -> dict[str, Any]:
    """The first paper's, which warms up its residual network of 110 layers."""
    warmed = depth == 110 and shortcut != "plain"
    return {key: value for key, (value,) in (HE_2015_CIFAR_110 if warmed else HE_2015_CIFAR).items()}


def cifar(label: str, test: Sequence[float | None], *args: Any, depth: int, shortcut: str, **settings: Any) -> Cell:
    """A cell of CIFAR's form, trained as published; more settings as `block="bottleneck"`, without their `model.`."""
    keep = {key: settings.pop(key) for key in ("images", "outcome") if key in settings}
    stride = "1x1" if settings.get("block") == "bottleneck" else "3x3"
    own = {"model.depth": depth, "model.shortcut": shortcut, "model.stride_in": stride}
    more = {f"model.{key}": value for key, value in settings.items()}
    return cell(label, {**CIFAR, **_training(depth, shortcut), **own, **more}, test, *args, **keep)


def imagenet(label: str, test: Sequence[float | None], *, depth: int, shortcut: str, macs: float | None = None) -> Cell:
    """A cell of ImageNet's form."""
    stride = "1x1" if depth >= 50 else "3x3"
    settings = {**IMAGENET, "model.depth": depth, "model.shortcut": shortcut, "model.stride_in": stride}
    return cell(label, settings, test, macs=macs, images=50_000)
