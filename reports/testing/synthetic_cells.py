"""Synthetic cells for tests and simulations of claims: the relevant settings, and one error per seed."""

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
    """Build one cell; without `train`, the training errors equal the test errors."""
    trials = []
    for seed, value in enumerate(test):
        row = {**settings, TEST_ERROR: value, TRAIN_ERROR: value if train is None else train[seed]}
        row |= {"final/test_images": images, "final/train_images": 5 * images if images else None}
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
    """Return the first paper's training, which has a warm-up for the residual network of 110 layers."""
    warmed = depth == 110 and shortcut != "plain"
    return {key: value for key, (value,) in (HE_2015_CIFAR_110 if warmed else HE_2015_CIFAR).items()}


def cifar(label: str, test: Sequence[float | None], *args: Any, depth: int, shortcut: str, **settings: Any) -> Cell:
    """Build a cell for CIFAR, trained as published; further settings as `block="bottleneck"`, without `model.`."""
    keep = {key: settings.pop(key) for key in ("images", "outcome") if key in settings}
    stride = "1x1" if settings.get("block") == "bottleneck" else "3x3"
    own = {"model.depth": depth, "model.shortcut": shortcut, "model.stride_in": stride}
    more = {f"model.{key}": value for key, value in settings.items()}
    return cell(label, {**CIFAR, **_training(depth, shortcut), **own, **more}, test, *args, **keep)


def imagenet(label: str, test: Sequence[float | None], *, depth: int, shortcut: str, macs: float | None = None) -> Cell:
    """Build a cell for ImageNet."""
    stride = "1x1" if depth >= 50 else "3x3"
    settings = {**IMAGENET, "model.depth": depth, "model.shortcut": shortcut, "model.stride_in": stride}
    return cell(label, settings, test, macs=macs, images=50_000)
