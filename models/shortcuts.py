"""The shortcuts around a residual branch, which carry a unit's input to the addition."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.resnet_axes import GATES, PROJECTED_EVERYWHERE

if TYPE_CHECKING:
    from models.resnet_axes import ResNetAxes


class ZeroPad(nn.Module):
    """Option A: take every stride-th pixel and append zero channels. No parameters (He 2015, section 3.3).

    (batch, in_channels, h, w) -> (batch, out_channels, ceil(h/stride), ceil(w/stride))
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.extra_channels = out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        subsampled = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(subsampled, (0, 0, 0, 0, 0, self.extra_channels))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, extra_channels={self.extra_channels}"


class Scale(nn.Module):
    """Multiplication by a constant (He 2016, section 3.1)."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor

    def extra_repr(self) -> str:
        return f"factor={self.factor:g}"


class Gate(nn.Conv2d):
    """g(x) = sigmoid(W x + b), W a 1x1 convolution, one gate for each output element (He 2016, equation 8).

    In a unit that halves the resolution the convolution has the unit's stride, so that the gate has its output's shape.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, bias: float) -> None:
        super().__init__(in_channels, out_channels, 1, stride=stride)
        assert self.bias is not None
        nn.init.constant_(self.bias, bias)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(super().forward(x))


class GatedShortcut(nn.Module):
    """(1 - g(x)) * shortcut(x): shortcut-only gating (He 2016, Figure 2d)."""

    def __init__(self, shortcut: nn.Module, gate: Gate) -> None:
        super().__init__()
        self.path = shortcut
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = (1 - self.gate(x)) * self.path(x)
        return out


def projects(spec: ResNetAxes, in_channels: int, out_channels: int, stride: int) -> bool:
    """Return whether the shortcut of such a unit is a 1x1 convolution."""
    reshapes = in_channels != out_channels or stride != 1
    return spec.shortcut in PROJECTED_EVERYWHERE or (spec.shortcut == "B" and reshapes)


def projection(in_channels: int, out_channels: int, stride: int, *, norm: bool) -> nn.Module:
    """Make the shortcut of options B and C: a 1x1 convolution (He 2015, equation 2), with batch norm if `norm`."""
    layers = OrderedDict[str, nn.Module](conv=nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False))
    if norm:
        layers["bn"] = nn.BatchNorm2d(out_channels)
    return nn.Sequential(layers)


def identity_shortcut(spec: ResNetAxes, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """Return the identity, zero-padded if the shape changes, with the modification of He 2016, Table 1."""
    reshapes = in_channels != out_channels or stride != 1
    path = ZeroPad(in_channels, out_channels, stride) if reshapes else nn.Identity()
    if spec.shortcut == "constant":
        assert spec.shortcut_scale is not None
        return nn.Sequential(OrderedDict(path=path, scale=Scale(spec.shortcut_scale)))
    if spec.shortcut == "dropout":
        assert spec.dropout_rate is not None
        return nn.Sequential(OrderedDict(path=path, dropout=nn.Dropout(spec.dropout_rate)))
    if spec.shortcut == "shortcut_gate":
        return GatedShortcut(path, make_gate(spec, in_channels, out_channels, stride))
    return path


def make_gate(spec: ResNetAxes, in_channels: int, out_channels: int, stride: int) -> Gate:
    """Return the gate of one unit, for the two gated shortcuts."""
    assert spec.shortcut in GATES
    assert spec.gate_bias is not None
    return Gate(in_channels, out_channels, stride, spec.gate_bias)
