"""Figures of He et al., "Identity Mappings in Deep Residual Networks", arXiv 1603.05027."""

from __future__ import annotations

from collections.abc import Iterator

from models.provenance import HE_2016
from models.published.figures import ErrorFigure, Published, error, printed_count, top1_top5
from models.published.he2015 import exact_counts
from models.resnet_spec import ResNetCifar, ResNetImageNet
from models.spec import Scalar

TABLE_1, TABLE_2, TABLE_3, TABLE_4, TABLE_5 = (f"{HE_2016}, Table {n}" for n in (1, 2, 3, 4, 5))

# Shortcuts of ResNet-110; "fail" is an error above 20 %.
_TABLE_1: tuple[tuple[dict[str, Scalar], str], ...] = (
    ({"shortcut": "A"}, "6.61"),
    ({"shortcut": "constant", "shortcut_scale": 0, "residual_scale": 1}, "fail"),
    ({"shortcut": "constant", "shortcut_scale": 0.5, "residual_scale": 1}, "fail"),
    ({"shortcut": "constant", "shortcut_scale": 0.5, "residual_scale": 0.5}, "12.35"),
    ({"shortcut": "exclusive_gate", "gate_bias": 0}, "fail"),
    ({"shortcut": "exclusive_gate", "gate_bias": -1}, "fail"),
    ({"shortcut": "exclusive_gate", "gate_bias": -2}, "fail"),
    ({"shortcut": "exclusive_gate", "gate_bias": -3}, "fail"),
    ({"shortcut": "exclusive_gate", "gate_bias": -4}, "fail"),
    ({"shortcut": "exclusive_gate", "gate_bias": -5}, "fail"),
    ({"shortcut": "exclusive_gate", "gate_bias": -6}, "8.70"),
    ({"shortcut": "exclusive_gate", "gate_bias": -7}, "9.81"),
    ({"shortcut": "shortcut_gate", "gate_bias": 0}, "12.86"),
    ({"shortcut": "shortcut_gate", "gate_bias": -6}, "6.91"),
    ({"shortcut": "conv1x1"}, "12.22"),
    ({"shortcut": "C"}, "12.22"),
    ({"shortcut": "dropout", "dropout_rate": 0.5}, "fail"),
)

# Activation -> ResNet-110, ResNet-164.
_TABLE_2 = {
    "original": ("6.61", "5.93"),
    "bn_after_add": ("8.17", "6.50"),
    "relu_before_add": ("7.84", "6.14"),
    "relu_only_preact": ("6.71", "5.91"),
    "full_preact": ("6.37", "5.46"),
}

# (data set, depth, block) -> original, pre-activation; without those of Table 2.
_TABLE_3 = {
    ("cifar10", 110, "single"): ("9.90", "8.91"),
    ("cifar10", 1001, "bottleneck"): ("7.61", "4.92"),
    ("cifar100", 164, "bottleneck"): ("25.16", "24.33"),
    ("cifar100", 1001, "bottleneck"): ("27.82", "22.71"),
}

# Pre-activation ResNet-1001: statistics over 5 runs.
_TABLE_4 = (
    ("cifar10", "4.89", "mean of 5", 0.14, "single view"),
    ("cifar10", "4.62", "median of 5", None, "single view, trained with batches of 64"),
    ("cifar10", "4.69", "mean of 5", 0.20, "single view, trained with batches of 64"),
    ("cifar100", "22.68", "mean of 5", 0.22, "single view"),
)
_TABLE_4_PARAMS_M = {164: "1.7", 1001: "10.2"}

# (depth, activation, augmentation) -> top-1, top-5.
_TABLE_5 = {
    (152, "original", "scale"): ("21.3", "5.5"),
    (152, "full_preact", "scale"): ("21.1", "5.5"),
    (200, "original", "scale"): ("21.8", "6.0"),
    (200, "full_preact", "scale"): ("20.7", "5.3"),
    (200, "full_preact", "scale and aspect ratio"): ("20.1", "4.8"),
}


def cifar() -> Iterator[Published]:
    """Yield the figures of CIFAR-10 and CIFAR-100: Tables 1 to 4."""
    yield from _table_1()
    yield from _table_2()
    yield from _table_3()
    yield from _table_4()


def imagenet() -> Iterator[Published]:
    """Yield ImageNet's figures: Table 5."""
    for (depth, activation, augmentation), (top1, top5) in _TABLE_5.items():
        protocol = f"single 320 px crop, trained with {augmentation} augmentation"
        errors = top1_top5(top1, top5, source=TABLE_5, protocol=protocol)
        spec = ResNetImageNet(depth=depth, activation=activation)
        yield Published(spec=spec, dataset="imagenet", errors=errors)


def _table_1() -> Iterator[Published]:
    for axes, printed in _TABLE_1:
        # The 1x1 convolution on every shortcut is option C, whose counts are known.
        counts = exact_counts(110, "C") if axes["shortcut"] == "conv1x1" else ()
        spec = ResNetCifar(depth=110, **axes)  # type: ignore[arg-type]  # the specification checks them
        yield Published(spec=spec, dataset="cifar10", counts=counts, errors=(_median(printed, TABLE_1),))


def _table_2() -> Iterator[Published]:
    for activation, (error_110, error_164) in _TABLE_2.items():
        for spec, printed in (
            (_net(110, "basic", activation), error_110),
            (_net(164, "bottleneck", activation), error_164),
        ):
            if (spec.depth, activation) != (110, "original"):  # this one is in Table 1 already
                yield Published(spec=spec, dataset="cifar10", errors=(_median(printed, TABLE_2),))


def _table_3() -> Iterator[Published]:
    for (dataset, depth, block), printed in _TABLE_3.items():
        for activation, text in zip(("original", "full_preact"), printed, strict=True):
            yield Published(spec=_net(depth, block, activation), dataset=dataset, errors=(_median(text, TABLE_3),))


def _table_4() -> Iterator[Published]:
    for dataset, printed, statistic, std_pct, protocol in _TABLE_4:
        figure = error(
            "test_error_pct", printed, source=TABLE_4, statistic=statistic, protocol=protocol, std_pct=std_pct
        )
        yield Published(spec=_net(1001, "bottleneck", "full_preact"), dataset=dataset, errors=(figure,))
    for depth, params_m in _TABLE_4_PARAMS_M.items():
        # The 1001-layer net has 10.2M parameters without batch norm's scale and shift, and 10.3M with them.
        counts = (printed_count("params", params_m, 1e6, TABLE_4, without_norm=True),)
        for dataset in ("cifar10", "cifar100"):
            yield Published(spec=_net(depth, "bottleneck", "full_preact"), dataset=dataset, counts=counts)


def _net(depth: int, block: str, activation: str) -> ResNetCifar:
    """Return a net with the shortcuts of the paper's appendix: projections for bottlenecks, option A for the others."""
    shortcut = "B" if block == "bottleneck" else "A"
    return ResNetCifar(depth=depth, block=block, shortcut=shortcut, activation=activation)


def _median(printed: str, source: str) -> ErrorFigure:
    return error("test_error_pct", printed, source=source, statistic="median of 5", protocol="single view")
