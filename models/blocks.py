"""Units: a branch of convolutions with batch norm and ReLU in one of five orders, a shortcut, and their addition."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from models.shortcuts import Gate, Scale, identity_shortcut, make_gate, projection, projects

if TYPE_CHECKING:
    from models.resnet_axes import ResNetAxes


class UnitLayout(NamedTuple):
    """Positions of batch norm and ReLU: around each convolution of a branch, and after the addition."""

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    after_last: tuple[str, ...] = ()
    after_addition: tuple[str, ...] = ()


# He 2016, Figure 4 (a) to (e).
ORDERS = {
    "original": UnitLayout(after=("bn", "relu"), after_last=("bn",), after_addition=("relu",)),
    "bn_after_add": UnitLayout(after=("bn", "relu"), after_addition=("bn", "relu")),
    "relu_before_add": UnitLayout(after=("bn", "relu"), after_last=("bn", "relu")),
    "relu_only_preact": UnitLayout(before=("relu",), after=("bn",), after_last=("bn",)),
    "full_preact": UnitLayout(before=("bn", "relu")),
}


class SqueezeExcitation(nn.Module):
    """x * sigmoid(W2 relu(W1 mean(x))), the mean over pixels, one factor for each channel (Hu 2018, section 3).

    The two maps have no biases, as in the paper's ResNets (section 3.2).
    """

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(channels, channels // reduction, bias=False)
        self.excite = nn.Linear(channels // reduction, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = torch.relu(self.squeeze(x.mean((2, 3))))
        return x * torch.sigmoid(self.excite(squeezed))[:, :, None, None]


class PlainUnit(nn.Module):
    """after(branch(x))."""

    def __init__(self, branch: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.after(self.branch(x))
        return out


class ResidualUnit(PlainUnit):
    """after(shortcut(a) + branch(a)), a = shared(x).

    `shared` is the pre-activation if a projecting shortcut and the branch both use it; otherwise it is the identity.
    """

    def __init__(self, branch: nn.Module, after: nn.Module, shortcut: nn.Module, shared: nn.Module) -> None:
        super().__init__(branch, after)
        self.shared = shared
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        activated = self.shared(x)
        out: Tensor = self.after(self.shortcut(activated) + self.branch(activated))
        return out


class ExclusiveGateUnit(PlainUnit):
    """after((1 - g(x)) * shortcut(x) + g(x) * branch(x)): highway gating (He 2016, Figure 2c)."""

    def __init__(self, branch: nn.Module, after: nn.Module, shortcut: nn.Module, gate: Gate) -> None:
        super().__init__(branch, after)
        self.shortcut = shortcut
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(x)
        out: Tensor = self.after((1 - gate) * self.shortcut(x) + gate * self.branch(x))
        return out


def make_unit(spec: ResNetAxes, in_channels: int, stage: int, stride: int, *, first: bool) -> nn.Module:
    """Return a unit of stage 0, 1, ...; `first` is the net's first unit, whose input the stem has activated already."""
    layout = ORDERS[spec.activation]
    out_channels = spec.width * spec.expansion * 2**stage
    before = () if first else layout.before
    projecting = projects(spec, in_channels, out_channels, stride)
    branch = make_branch(spec, in_channels, stage, stride, () if projecting else before)
    after = norm_act(layout.after_addition, out_channels, overwrite=True)
    if spec.shortcut == "plain":
        return PlainUnit(branch, after)
    if projecting:
        shortcut = projection(in_channels, out_channels, stride, norm="bn" in layout.after_last)
        return ResidualUnit(branch, after, shortcut, norm_act(before, in_channels))
    shortcut = identity_shortcut(spec, in_channels, out_channels, stride)
    if spec.shortcut == "exclusive_gate":
        return ExclusiveGateUnit(branch, after, shortcut, make_gate(spec, in_channels, out_channels, stride))
    return ResidualUnit(branch, after, shortcut, nn.Identity())


def make_branch(spec: ResNetAxes, in_channels: int, stage: int, stride: int, before: tuple[str, ...]) -> nn.Sequential:
    """Return `conv1`, `bn1`, `relu1`, `conv2`, ... in the spec's order. `before` precedes the first convolution."""
    layout = ORDERS[spec.activation]
    convs = make_convs(spec, in_channels, stage, stride)
    layers = OrderedDict[str, nn.Module]()
    for i, conv in enumerate(convs, start=1):
        after = layout.after_last if i == len(convs) else layout.after
        layers.update(norm_act_layers(before if i == 1 else layout.before, conv.in_channels, suffix=i))
        layers[f"conv{i}"] = conv
        layers.update(norm_act_layers(after, conv.out_channels, suffix=i))
    if spec.se:
        layers["se"] = SqueezeExcitation(convs[-1].out_channels, spec.se)
    if spec.residual_scale is not None:
        layers["scale"] = Scale(spec.residual_scale)
    return nn.Sequential(layers)


def make_convs(spec: ResNetAxes, in_channels: int, stage: int, stride: int) -> list[nn.Conv2d]:
    """Return the convolutions of a branch: [3x3], [3x3, 3x3] or [1x1, 3x3, 1x1] (He 2015, Figure 5)."""
    channels = spec.width * 2**stage
    if spec.unit == "single":
        return [conv3x3(in_channels, channels, stride)]
    if spec.unit == "basic":
        return [conv3x3(in_channels, channels, stride), conv3x3(channels, channels)]
    inner = spec.cardinality * (spec.group_width or spec.width) * 2**stage
    # The papers disagree: He 2015 strides in the first 1x1, Xie 2017 and torchvision in the 3x3.
    stride_1x1, stride_3x3 = (stride, 1) if spec.stride_in == "1x1" else (1, stride)
    return [
        conv1x1(in_channels, inner, stride_1x1),
        conv3x3(inner, inner, stride_3x3, groups=spec.cardinality),
        conv1x1(inner, channels * spec.expansion),
    ]


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a padded 3x3 convolution without bias, because batch norm has one."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, groups=groups, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """Return a 1x1 convolution without bias."""
    return nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)


def norm_act(names: Iterable[str], channels: int, *, overwrite: bool = False) -> nn.Module:
    """Return batch norm and ReLU in the order named, as one module; the identity if none is named."""
    layers = norm_act_layers(names, channels, overwrite=overwrite)
    return nn.Sequential(layers) if layers else nn.Identity()


def norm_act_layers(
    names: Iterable[str], channels: int, *, suffix: int | str = "", overwrite: bool = False
) -> OrderedDict[str, nn.Module]:
    """Return `bn` and `relu` modules by name, with a suffix.

    To save memory, a ReLU overwrites its input if nothing else reads it. This always holds for batch norm's output; for
    the input of these layers it holds only if `overwrite` is True.
    """
    layers = OrderedDict[str, nn.Module]()
    for name in names:
        layer = nn.BatchNorm2d(channels) if name == "bn" else nn.ReLU(inplace=overwrite or bool(layers))
        layers[f"{name}{suffix}"] = layer
    return layers
