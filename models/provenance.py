"""The paper that defines a residual network. Networks that no paper defines can be built, and are marked as such."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.resnet_axes import ResNetAxes

HE_2015 = "He 2015 (arXiv 1512.03385)"
HE_2016 = "He 2016 (arXiv 1603.05027)"
XIE_2017 = "Xie 2017 (arXiv 1611.05431)"
HU_2018 = "Hu 2018 (arXiv 1709.01507)"
ZAGORUYKO_2016 = "Zagoruyko 2016 (arXiv 1605.07146)"
_V1_5 = "stride in the 3x3 as in torchvision's v1.5"
_ABLATIONS = ("constant", "exclusive_gate", "shortcut_gate", "conv1x1", "dropout")


def source_of(spec: ResNetAxes) -> str | None:
    """Return the paper that has this combination of options, at any depth; None if none has it."""
    if spec.cardinality > 1 or spec.group_width is not None or spec.se:
        return _descendant(spec)
    if spec.width != spec.native_width:
        return None
    if spec.unit == "bottleneck" and spec.stride_in == "3x3":
        original_b = spec.shortcut == "B" and spec.activation == "original" and spec.native_width == 64
        return f"{HE_2015}, {_V1_5}" if original_b else None
    return _first_paper(spec) or _second_paper(spec)


def _first_paper(spec: ResNetAxes) -> str | None:
    """Return He 2015 for its plain and residual nets: basic units with A, B, C; bottlenecks with B, on ImageNet."""
    if spec.activation != "original":
        return None
    basic = spec.unit == "basic" and spec.shortcut in ("plain", "A", "B", "C")
    bottleneck = spec.unit == "bottleneck" and spec.shortcut == "B" and spec.depth in (50, 101, 152)
    if basic and spec.native_width == 64:
        return f"{HE_2015}, section 4.1"
    if basic:
        section_4_1 = f", with shortcut {spec.shortcut} of section 4.1" if spec.shortcut in ("B", "C") else ""
        return f"{HE_2015}, section 4.2{section_4_1}"
    return f"{HE_2015}, section 4.1" if bottleneck and spec.native_width == 64 else None


def _second_paper(spec: ResNetAxes) -> str | None:
    """Return He 2016 for shortcuts on basic units, and activations on basic units with A and bottlenecks with B."""
    on_cifar = spec.native_width == 16
    if spec.shortcut in _ABLATIONS:
        return f"{HE_2016}, Table 1" if on_cifar and spec.unit == "basic" and spec.activation == "original" else None
    if spec.shortcut != ("B" if spec.unit == "bottleneck" else "A"):
        return None
    both_units = spec.activation in ("original", "full_preact")
    if not on_cifar:
        return f"{HE_2016}, Table 5" if both_units and spec.depth in (152, 200) else None
    if spec.unit == "single":
        return f"{HE_2016}, Table 3" if both_units else None
    return f"{HE_2016}, Table {'3' if both_units else '2'}"


def _descendant(spec: ResNetAxes) -> str | None:
    """Return the paper of wide bottlenecks, aggregated branches or squeeze-and-excitation, by its own settings."""
    standard = spec.shortcut == "B" and spec.activation == "original" and spec.unit == "bottleneck"
    on_imagenet = spec.width == spec.native_width == 64
    if not standard or (spec.se and not on_imagenet):
        return None
    if spec.se:
        return f"{HU_2018}, Table 2" if spec.se == 16 and spec.stride_in == spec.paper_stride_in else None
    if spec.cardinality > 1:
        # The small-image ResNeXt starts from 64 channels too (Xie 2017, section 5.3).
        return XIE_2017 if spec.width == 64 and spec.stride_in == "3x3" else None
    return f"{ZAGORUYKO_2016}, Table 8" if on_imagenet and spec.stride_in == "3x3" else None
