"""Figures of He et al., "Deep Residual Learning for Image Recognition", arXiv 1512.03385.

Its Table 5 lists ensembles, which are not cells here. Its tables print multiply-adds as "FLOPs".
"""

from __future__ import annotations

import dataclasses

from models.comparators import COMPARATORS
from models.provenance import HE_2015
from models.published.figures import (
    CountFigure,
    ErrorFigure,
    Metric,
    Published,
    error,
    exact_params,
    printed_count,
    top1_top5,
)
from models.resnet_spec import ResNetCifar, ResNetImageNet
from models.spec import ModelSpec

TABLE_1, TABLE_2, TABLE_3, TABLE_4, TABLE_6 = (f"{HE_2015}, Table {n}" for n in (1, 2, 3, 4, 6))
TEXT = f"{HE_2015}, section 4.2"
RELEASED = "KaimingHe/deep-residual-networks, README"
CLOSED_FORM = "closed-form layer arithmetic (3x32x32 images, 10 classes)"

_TABLE_6_PARAMS_M = {20: "0.27", 32: "0.46", 44: "0.66", 56: "0.85", 110: "1.7", 1202: "19.4"}
_TABLE_6_ERROR_PCT = {20: "8.75", 32: "7.51", 44: "7.17", 56: "6.97", 1202: "7.93"}

# (depth, shortcut) -> parameters, MACs in millions if known.
_EXACT = {
    (20, "A"): (269_722, "40.55"),
    (20, "B"): (272_474, "40.81"),
    (20, "C"): (283_962, "42.65"),
    (32, "A"): (464_154, "68.86"),
    (32, "B"): (466_906, "69.12"),
    (32, "C"): (489_594, "72.53"),
    (44, "A"): (658_586, "97.17"),
    (44, "B"): (661_338, "97.44"),
    (44, "C"): (695_226, "102.42"),
    (56, "A"): (853_018, "125.49"),
    (56, "B"): (855_770, "125.75"),
    (56, "C"): (900_858, "132.30"),
    (110, "A"): (1_727_962, "252.89"),
    (110, "B"): (1_730_714, "253.15"),
    (110, "C"): (1_826_202, "266.78"),
    (1202, "A"): (19_421_274, None),
}

# Name -> giga-MACs of Table 1 (for VGG-19: section 3.3).
_TABLE_1_GMACS = {
    "plain18": "1.8",
    "resnet18_A": "1.8",
    "plain34": "3.6",
    "resnet34_A": "3.6",
    "resnet50_B": "3.8",
    "resnet101_B": "7.6",
    "resnet152_B": "11.3",
    "vgg19": "19.6",
}

# Name -> printed (top-1, top-5), by table.
_10_CROP = {
    "plain18": ("27.94", None),
    "resnet18_A": ("27.88", None),
    "plain34": ("28.54", "10.02"),
    "resnet34_A": ("25.03", "7.76"),
    "resnet34_B": ("24.52", "7.46"),
    "resnet34_C": ("24.19", "7.40"),
    "resnet50_B": ("22.85", "6.71"),
    "resnet101_B": ("21.75", "6.05"),
    "resnet152_B": ("21.43", "5.71"),
    "vgg16": ("28.07", "9.33"),
    "googlenet": (None, "9.15"),
}
_MULTISCALE = {
    "resnet34_B": ("21.84", "5.71"),
    "resnet34_C": ("21.53", "5.60"),
    "resnet50_B": ("20.74", "5.25"),
    "resnet101_B": ("19.87", "4.60"),
    "resnet152_B": ("19.38", "4.49"),
}
_1_CROP = {
    "resnet50_B": ("24.7", "7.8"),
    "resnet101_B": ("23.6", "7.1"),
    "resnet152_B": ("23.0", "6.7"),
}


def cifar() -> list[Published]:
    """Return CIFAR-10's figures: Table 6, the plain nets of Figure 6, and exact counts of options A, B and C."""
    residual = [
        Published(
            spec=ResNetCifar(depth=depth, shortcut=shortcut),
            dataset="cifar10",
            counts=_cifar_counts(depth, shortcut),
            errors=_table_6_errors(depth) if shortcut == "A" else (),
        )
        for depth, shortcut in _EXACT
    ]
    plain = [
        Published(
            spec=ResNetCifar(depth=depth, shortcut="plain"),
            dataset="cifar10",
            counts=_plain_counts(depth),
            errors=(_cifar_error(">60", TEXT),) if depth == 110 else (),
        )
        for depth in (20, 32, 44, 56, 110)
    ]
    return [*residual, *plain]


def imagenet() -> list[Published]:
    """Return ImageNet's figures: Tables 1 to 4, and one crop of the models that the authors released."""
    names = dict.fromkeys([*_TABLE_1_GMACS, *_10_CROP])
    return [
        Published(spec=_spec(name), dataset="imagenet", counts=_gmacs(name), errors=_imagenet_errors(name))
        for name in names
    ]


def _cifar_counts(depth: int, shortcut: str) -> tuple[CountFigure, ...]:
    params, macs_m = _EXACT[depth, shortcut]
    printed = [printed_count("params", _TABLE_6_PARAMS_M[depth], 1e6, TABLE_6)] if shortcut == "A" else []
    macs = [printed_count("macs", macs_m, 1e6, CLOSED_FORM)] if macs_m else []
    return (*printed, exact_params(params, CLOSED_FORM), *macs)


def _plain_counts(depth: int) -> tuple[CountFigure, ...]:
    """Return the counts of option A's net: its shortcuts cost nothing, so the plain net has equally many."""
    printed, *others = _cifar_counts(depth, "A")
    return (dataclasses.replace(printed, source=f"{TABLE_6}, of equally many as section 4.2 says"), *others)


def exact_counts(depth: int, shortcut: str) -> tuple[CountFigure, ...]:
    """Return the closed-form counts of a basic-block CIFAR net, with 16 channels in its first stage."""
    return tuple(figure for figure in _cifar_counts(depth, shortcut) if figure.source == CLOSED_FORM)


def _table_6_errors(depth: int) -> tuple[ErrorFigure, ...]:
    if depth == 110:
        best = _cifar_error("6.43", TABLE_6, "best of 5")
        return best, _cifar_error("6.61", TABLE_6, "mean of 5", std_pct=0.16)
    test = _cifar_error(_TABLE_6_ERROR_PCT[depth], TABLE_6)
    return (test, _cifar_error("<0.1", TEXT, metric="train_error_pct")) if depth == 1202 else (test,)


def _cifar_error(
    printed: str,
    source: str,
    statistic: str = "single run",
    *,
    metric: Metric = "test_error_pct",
    std_pct: float | None = None,
) -> ErrorFigure:
    return error(metric, printed, source=source, statistic=statistic, protocol="single view", std_pct=std_pct)


def _spec(name: str) -> ModelSpec:
    """Return the specification of `plain18`, `resnet34_A`, or the name of a comparator."""
    if name in COMPARATORS:
        return COMPARATORS[name]()
    net, _, shortcut = name.partition("_")
    depth = int(net.removeprefix("plain").removeprefix("resnet"))
    return ResNetImageNet(depth=depth, shortcut=shortcut or "plain")


def _gmacs(name: str) -> tuple[CountFigure, ...]:
    gmacs = _TABLE_1_GMACS.get(name)
    return (printed_count("macs", gmacs, 1e9, TABLE_1),) if gmacs else ()


def _imagenet_errors(name: str) -> tuple[ErrorFigure, ...]:
    figures: list[ErrorFigure] = []
    ten_crop_table = TABLE_2 if name in ("plain18", "resnet18_A") else TABLE_3
    for table, protocol, printed in (
        (ten_crop_table, "10-crop", _10_CROP),
        (TABLE_4, "multi-scale", _MULTISCALE),
        (RELEASED, "single centre crop", _1_CROP),
    ):
        if name in printed:
            figures += top1_top5(*printed[name], source=table, protocol=protocol)
    return tuple(figures)
