"""The networks of both residual papers, assembled from stem, stages and classifier."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from models.blocks import conv3x3, make_unit
from models.resnet_spec import ResNetSpec


class ResNet(nn.Sequential):
    """Stem, stages of units, global average pooling, classifier.

    (batch, in_channels, h, w) -> (batch, num_classes) logits, for any h and w.
    """

    def __init__(self, spec: ResNetSpec, *, in_channels: int, num_classes: int) -> None:
        layers = OrderedDict[str, nn.Module](stem=small_image_stem(in_channels, spec.width))
        layers.update(make_stages(spec))
        layers.update(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
        layers.update(fc=nn.Linear(spec.width * 2 ** (len(spec.stage_depths) - 1), num_classes))
        super().__init__(layers)
        initialize(self)


def small_image_stem(in_channels: int, width: int) -> nn.Sequential:
    """3x3, BN, ReLU at full resolution (He 2015, section 4.2)."""
    layers = OrderedDict[str, nn.Module](
        conv=conv3x3(in_channels, width), bn=nn.BatchNorm2d(width), relu=nn.ReLU(inplace=True)
    )
    return nn.Sequential(layers)


def make_stages(spec: ResNetSpec) -> OrderedDict[str, nn.Module]:
    """`stage1`, `stage2`, ...: each doubles the channels and, from the second on, halves the resolution."""
    stages = OrderedDict[str, nn.Module]()
    in_channels = spec.width
    for i, units in enumerate(spec.stage_depths):
        out_channels = spec.width * 2**i
        stages[f"stage{i + 1}"] = nn.Sequential(
            *(
                make_unit(spec.shortcut, in_channels if j == 0 else out_channels, out_channels, 2 if i and not j else 1)
                for j in range(units)
            )
        )
        in_channels = out_channels
    return stages


def initialize(net: nn.Module) -> None:
    """He initialization: normal with variance 2/fan_out; zero classifier bias.

    The initialization paper (arXiv 1502.01852, section 2.2) finds fan-in and fan-out equally good. Fan-out is what the
    authors' released training code (KaimingHe/resnet-1k-layers) and torchvision use.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)
