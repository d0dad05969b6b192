"""The settings in which the cells of each claim may differ, written down by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from typing import Any

from harness.trial import Machine, Scale
from models import MODELS
from workloads.datasets import DATASETS
from workloads.recipes import Recipe


def _names(prefix: str, fields: Iterable[str]) -> set[str]:
    return {f"{prefix}.{field}" for field in fields} | {f"{prefix}.something_new"}


def _fields(*kinds: Any) -> set[str]:
    return {one.name for kind in kinds for one in dataclasses.fields(kind) if "aside" not in one.metadata}


MODEL = _names("model", {"name"}.union(*(spec.axis_names() for spec in MODELS.values())))

DATASET = _names("dataset", {"name", "fingerprint", *_fields(*DATASETS.values())})

RECIPE = _names("recipe", _fields(Recipe))

PLACEMENT = _names("scale", _fields(Scale)) | _names("machine", _fields(Machine)) | {"protocol"}

SETTINGS = MODEL | DATASET | RECIPE | PLACEMENT | {"measure"}

DEPTH = {"model.depth"}

# He 2015, Table 1: basic blocks at 18 and 34 layers, bottlenecks from 50 on, with their stride in the first 1x1.
STRIDE = {"model.stride_in"}

# He 2016, Table 1: the settings of scaled, gated and dropped shortcuts belong to the shortcut.
OF_SHORTCUTS = {"model.shortcut_scale", "model.residual_scale", "model.gate_bias", "model.dropout_rate"}

# Settings that a published error leaves open: how and where steps are computed. The schedule and all else that steps
# depend on are held: a short training would support that a network fails, and contradict that it reaches an error.
DIGEST = {"dataset.fingerprint", "dataset.normalize"}

COMPUTED = {
    "recipe.precision",
    "recipe.channels_last",
    "recipe.compile",
    "recipe.cuda_graphs",
    "recipe.fused_optimizer",
}

UNUSED = {"recipe.plateau_epochs", "recipe.plateau_points"}

UNWARMED = {"recipe.warmup_shape"}

WARMED = COMPUTED | UNUSED | DIGEST | PLACEMENT

COLD = WARMED | UNWARMED

IMAGENET, CIFAR, DEEP = "he2015-imagenet", "he2015-cifar10", "he2016-depth"

_164, _1001 = "164-B-bottleneck cifar10", "1001-B-bottleneck cifar10"

# Claim -> workload, and for each compared cell the settings that may have another value.
MAY_DIFFER: dict[str, tuple[str, dict[str, Collection[str]]]] = {
    "plain-degrades-with-depth": (CIFAR, {"plain-20": DEPTH, "plain-110": DEPTH}),
    "plain-test-error-grows": (IMAGENET, {"plain-18": DEPTH, "plain-34": DEPTH}),
    "plain-110-fails": (CIFAR, {"plain-110": COLD}),
    "residual-does-not-degrade": (IMAGENET, {"resnet-34-B": DEPTH | STRIDE, "resnet-152-B": DEPTH | STRIDE}),
    "residual-improves-to-110": (CIFAR, {"resnet-20-A": DEPTH, "resnet-110-A": {}}),  # 111 layers are beyond 110
    "residual-improves-on-imagenet": (IMAGENET, {"resnet-34-B": DEPTH | STRIDE, "resnet-152-B": DEPTH | STRIDE}),
    "residual-beats-plain": (CIFAR, {"plain-110": {}, "resnet-110-A": {"model.shortcut"}}),
    "options-differ-little": (IMAGENET, {"resnet-34-A": {}, "resnet-34-B": {}, "resnet-34-C": {}}),
    "options-in-order": (IMAGENET, {"resnet-34-A": {}, "resnet-34-B": {}, "resnet-34-C": {}}),
    "resnet-1202-overfits": (CIFAR, {"resnet-110-A": {}, "resnet-1202-A": {}}),
    "resnet-1202-fits-its-training-set": (CIFAR, {"resnet-1202-A": COLD}),
    "resnet-110-reaches-published": (CIFAR, {"resnet-110-A": WARMED}),
    "bottleneck-50-costs-as-basic-34": (IMAGENET, {"resnet-34-B": STRIDE, "resnet-50-B": {}}),
    "resnet-152-costs-less-than-vgg-19": (
        IMAGENET,
        {"resnet-152-B": RECIPE | DIGEST | PLACEMENT | {"measure", "model.shortcut"}},
    ),
    "identity-beats-other-shortcuts": (
        "he2016-shortcuts",
        {"resnet-110-A": OF_SHORTCUTS, "resnet-110-dropout-p0.5": OF_SHORTCUTS},
    ),
    "clean-addition-beats-unclean": ("he2016-activations", {"resnet-110-A": {}, "resnet-110-A-bn_after_add": {}}),
    "preactivation-beats-original": ("he2016-activations", {"resnet-110-A": {}, "preresnet-110-A": {}}),
    "preactivation-gains-with-depth": (
        DEEP,
        {
            f"resnet-{_164}": {},
            f"preresnet-{_164}": {},
            f"resnet-{_1001}": {},
            f"preresnet-{_1001} he2016-cifar": {},
        },
    ),
    "preresnet-1001-reaches-published": (
        DEEP,
        {f"preresnet-{_1001} he2016-cifar": WARMED},
    ),
    "preresnet-1001-reaches-published-in-batches-of-64": (
        DEEP,
        {f"preresnet-{_1001} he2016-cifar-64": COLD},
    ),
    "preresnet-1001-reaches-published-on-cifar-100": (
        DEEP,
        {"preresnet-1001-B-bottleneck cifar100": WARMED},
    ),
}

PUBLISHED_ERRORS = {
    "plain-110-fails",
    "resnet-1202-fits-its-training-set",
    "resnet-110-reaches-published",
    "preresnet-1001-reaches-published",
    "preresnet-1001-reaches-published-in-batches-of-64",
    "preresnet-1001-reaches-published-on-cifar-100",
}
