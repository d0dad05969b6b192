"""The networks of both residual papers, assembled from stem, stages, last activation and classifier."""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import TYPE_CHECKING

from torch import nn

from models.blocks import ORDERS, conv3x3, make_unit, norm_act, norm_act_layers

if TYPE_CHECKING:
    from models.resnet_axes import ResNetAxes


class ResNet(nn.Sequential):
    """Stem, stages of units, the last unit's extra activation, global average pooling, classifier.

    (batch, in_channels, h, w) -> (batch, num_classes) logits, for any h and w.

    If units begin with an activation, the stem's own replaces that of the first unit, and an extra one follows the last
    addition (He 2016, appendix). With `share_equal_units` the equal units of a stage are one module: such a net can be
    counted but not trained.
    """

    def __init__(
        self, spec: ResNetAxes, *, in_channels: int, num_classes: int, share_equal_units: bool = False
    ) -> None:
        features = spec.width * spec.expansion * 2 ** (len(spec.stage_depths) - 1)
        layers = OrderedDict[str, nn.Module](stem=make_stem(spec, in_channels))
        layers.update(make_stages(spec, share_equal_units))
        layers.update(tail=norm_act(ORDERS[spec.activation].before, features))
        layers.update(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten(), fc=nn.Linear(features, num_classes))
        super().__init__(layers)
        initialize(self)


def make_stem(spec: ResNetAxes, in_channels: int) -> nn.Sequential:
    """Make 3x3, BN, ReLU at full resolution (He 2015, section 4.2), or 7x7/2, BN, ReLU, 3x3/2 max pooling (Table 1)."""
    if spec.image_size is None:
        return nn.Sequential(
            OrderedDict(conv=conv3x3(in_channels, spec.width), **norm_act_layers(("bn", "relu"), spec.width))
        )
    conv = nn.Conv2d(in_channels, spec.width, 7, stride=2, padding=3, bias=False)
    pool = nn.MaxPool2d(3, stride=2, padding=1)
    return nn.Sequential(OrderedDict(conv=conv, **norm_act_layers(("bn", "relu"), spec.width), pool=pool))


def make_stages(spec: ResNetAxes, share_equal_units: bool) -> OrderedDict[str, nn.Module]:
    """Return `stage1`, `stage2`, ...: each doubles the channels and, from the second on, halves the resolution."""
    unit = functools.cache(make_unit) if share_equal_units else make_unit
    stages = OrderedDict[str, nn.Module]()
    in_channels = spec.width
    for stage, depth in enumerate(spec.stage_depths):
        units = []
        for i in range(depth):
            stride = 2 if stage > 0 and i == 0 else 1
            units.append(unit(spec, in_channels, stage, stride, first=stage == i == 0))
            in_channels = spec.width * spec.expansion * 2**stage
        stages[f"stage{stage + 1}"] = nn.Sequential(*units)
    return stages


def initialize(net: nn.Module) -> None:
    """Initialize convolutions by He's method, normal with variance 2/fan_out, and set the classifier's bias to zero.

    The initialization paper (arXiv 1502.01852, section 2.2) finds fan-in and fan-out equally good. The authors'
    released training code (KaimingHe/resnet-1k-layers) and torchvision use fan-out.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
