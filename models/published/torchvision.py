"""Figures of torchvision's published weights (torchvision 0.29.2, `torchvision.models.<weights>.meta`).

Parameters are exact. Its `_ops` are giga-multiply-accumulates, printed with three decimals. Accuracies, on the
validation images of ImageNet-1K, are converted to errors.
"""

from __future__ import annotations

from typing import NamedTuple

from models.comparators import COMPARATORS
from models.published.figures import CountFigure, ErrorFigure, Published, exact_params, printed_count, top1_top5
from models.resnet_spec import ResNetImageNet
from models.spec import ModelSpec

SOURCE = "torchvision 0.29.2"


class Weights(NamedTuple):
    """One set of published weights. Accuracies in percent; None for weights that do not classify."""

    params: int
    gmacs: str
    acc1_pct: str | None
    acc5_pct: str | None
    crop_px: int


# torchvision's name -> our net.
_OURS: dict[str, ModelSpec] = {
    "resnet18": ResNetImageNet(depth=18),
    "resnet34": ResNetImageNet(depth=34),
    "resnet50": ResNetImageNet(depth=50, stride_in="3x3"),
    "resnet101": ResNetImageNet(depth=101, stride_in="3x3"),
    "resnet152": ResNetImageNet(depth=152, stride_in="3x3"),
    "resnext50_32x4d": ResNetImageNet(depth=50, cardinality=32, group_width=4, stride_in="3x3"),
    "resnext101_32x8d": ResNetImageNet(depth=101, cardinality=32, group_width=8, stride_in="3x3"),
    "resnext101_64x4d": ResNetImageNet(depth=101, cardinality=64, group_width=4, stride_in="3x3"),
    "wide_resnet50_2": ResNetImageNet(depth=50, group_width=128, stride_in="3x3"),
    "wide_resnet101_2": ResNetImageNet(depth=101, group_width=128, stride_in="3x3"),
}

_WEIGHTS = {
    ("alexnet", "IMAGENET1K_V1"): Weights(61_100_840, "0.714", "56.522", "79.066", 224),
    ("vgg16", "IMAGENET1K_V1"): Weights(138_357_544, "15.470", "71.592", "90.382", 224),
    ("vgg16", "IMAGENET1K_FEATURES"): Weights(138_357_544, "15.470", None, None, 224),
    ("vgg16_bn", "IMAGENET1K_V1"): Weights(138_365_992, "15.470", "73.360", "91.516", 224),
    ("vgg19", "IMAGENET1K_V1"): Weights(143_667_240, "19.632", "72.376", "90.876", 224),
    ("vgg19_bn", "IMAGENET1K_V1"): Weights(143_678_248, "19.632", "74.218", "91.842", 224),
    ("googlenet", "IMAGENET1K_V1"): Weights(6_624_904, "1.498", "69.778", "89.530", 224),
    ("resnet18", "IMAGENET1K_V1"): Weights(11_689_512, "1.814", "69.758", "89.078", 224),
    ("resnet34", "IMAGENET1K_V1"): Weights(21_797_672, "3.664", "73.314", "91.420", 224),
    ("resnet50", "IMAGENET1K_V1"): Weights(25_557_032, "4.089", "76.130", "92.862", 224),
    ("resnet50", "IMAGENET1K_V2"): Weights(25_557_032, "4.089", "80.858", "95.434", 224),
    ("resnet101", "IMAGENET1K_V1"): Weights(44_549_160, "7.801", "77.374", "93.546", 224),
    ("resnet101", "IMAGENET1K_V2"): Weights(44_549_160, "7.801", "81.886", "95.780", 224),
    ("resnet152", "IMAGENET1K_V1"): Weights(60_192_808, "11.514", "78.312", "94.046", 224),
    ("resnet152", "IMAGENET1K_V2"): Weights(60_192_808, "11.514", "82.284", "96.002", 224),
    ("resnext50_32x4d", "IMAGENET1K_V1"): Weights(25_028_904, "4.230", "77.618", "93.698", 224),
    ("resnext50_32x4d", "IMAGENET1K_V2"): Weights(25_028_904, "4.230", "81.198", "95.340", 224),
    ("resnext101_32x8d", "IMAGENET1K_V1"): Weights(88_791_336, "16.414", "79.312", "94.526", 224),
    ("resnext101_32x8d", "IMAGENET1K_V2"): Weights(88_791_336, "16.414", "82.834", "96.228", 224),
    ("resnext101_64x4d", "IMAGENET1K_V1"): Weights(83_455_272, "15.460", "83.246", "96.454", 224),
    ("wide_resnet50_2", "IMAGENET1K_V1"): Weights(68_883_240, "11.398", "78.468", "94.086", 224),
    ("wide_resnet50_2", "IMAGENET1K_V2"): Weights(68_883_240, "11.398", "81.602", "95.758", 224),
    ("wide_resnet101_2", "IMAGENET1K_V1"): Weights(126_886_696, "22.753", "78.848", "94.284", 224),
    ("wide_resnet101_2", "IMAGENET1K_V2"): Weights(126_886_696, "22.753", "82.510", "96.020", 224),
    ("densenet121", "IMAGENET1K_V1"): Weights(7_978_856, "2.834", "74.434", "91.972", 224),
    ("densenet161", "IMAGENET1K_V1"): Weights(28_681_000, "7.728", "77.138", "93.560", 224),
    ("densenet169", "IMAGENET1K_V1"): Weights(14_149_480, "3.360", "75.600", "92.806", 224),
    ("densenet201", "IMAGENET1K_V1"): Weights(20_013_928, "4.291", "76.896", "93.370", 224),
    ("efficientnet_b0", "IMAGENET1K_V1"): Weights(5_288_548, "0.386", "77.692", "93.532", 224),
    ("efficientnet_b1", "IMAGENET1K_V1"): Weights(7_794_184, "0.687", "78.642", "94.186", 240),
    ("efficientnet_b1", "IMAGENET1K_V2"): Weights(7_794_184, "0.687", "79.838", "94.934", 240),
    ("efficientnet_b2", "IMAGENET1K_V1"): Weights(9_109_994, "1.088", "80.608", "95.310", 288),
    ("efficientnet_b3", "IMAGENET1K_V1"): Weights(12_233_232, "1.827", "82.008", "96.054", 300),
    ("efficientnet_b4", "IMAGENET1K_V1"): Weights(19_341_616, "4.394", "83.384", "96.594", 380),
    ("efficientnet_b5", "IMAGENET1K_V1"): Weights(30_389_784, "10.266", "83.444", "96.628", 456),
    ("efficientnet_b6", "IMAGENET1K_V1"): Weights(43_040_704, "19.068", "84.008", "96.916", 528),
    ("efficientnet_b7", "IMAGENET1K_V1"): Weights(66_347_960, "37.746", "84.122", "96.908", 600),
    ("convnext_tiny", "IMAGENET1K_V1"): Weights(28_589_128, "4.456", "82.520", "96.146", 224),
    ("convnext_small", "IMAGENET1K_V1"): Weights(50_223_688, "8.684", "83.616", "96.650", 224),
    ("convnext_base", "IMAGENET1K_V1"): Weights(88_591_464, "15.355", "84.062", "96.870", 224),
    ("convnext_large", "IMAGENET1K_V1"): Weights(197_767_336, "34.361", "84.414", "96.976", 224),
    ("vit_b_16", "IMAGENET1K_V1"): Weights(86_567_656, "17.564", "81.072", "95.318", 224),
    ("vit_b_16", "IMAGENET1K_SWAG_E2E_V1"): Weights(86_859_496, "55.484", "85.304", "97.650", 384),
    ("vit_b_16", "IMAGENET1K_SWAG_LINEAR_V1"): Weights(86_567_656, "17.564", "81.886", "96.180", 224),
    ("swin_t", "IMAGENET1K_V1"): Weights(28_288_354, "4.491", "81.474", "95.776", 224),
}


def spec_of(name: str) -> ModelSpec:
    """Return the specification of torchvision's net of this name."""
    return _OURS[name] if name in _OURS else COMPARATORS[name]()


def imagenet() -> list[Published]:
    """Return ImageNet's figures: every set of weights, those of one net side by side."""
    return [
        Published(
            spec=spec_of(name),
            dataset="imagenet",
            counts=_counts(name, weights_name, weights),
            errors=_errors(weights_name, weights),
        )
        for (name, weights_name), weights in _WEIGHTS.items()
    ]


def _counts(name: str, weights_name: str, weights: Weights) -> tuple[CountFigure, ...]:
    """Return a net's counts once, at its own crop: other weights have the same counts, or are for another crop."""
    first = next(key for key in _WEIGHTS if key[0] == name)
    if (name, weights_name) != first:
        return ()
    return exact_params(weights.params, SOURCE), printed_count("macs", weights.gmacs, 1e9, SOURCE)


def _errors(weights_name: str, weights: Weights) -> tuple[ErrorFigure, ...]:
    if weights.acc1_pct is None or weights.acc5_pct is None:
        return ()
    top1, top5 = (f"{100 - float(accuracy):.3f}" for accuracy in (weights.acc1_pct, weights.acc5_pct))
    protocol = f"single centre crop of {weights.crop_px} px, weights {weights_name}"
    return top1_top5(top1, top5, source=SOURCE, protocol=protocol)
