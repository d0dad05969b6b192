"""Residual and plain units."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from models.shortcuts import make_shortcut


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A padded 3x3 convolution without bias: batch norm has one."""
    return nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)


def basic_branch(in_channels: int, out_channels: int, stride: int) -> OrderedDict[str, nn.Module]:
    """3x3, BN, ReLU, 3x3, BN. The stride is in the first convolution (He 2015, Figure 5 left)."""
    return OrderedDict(
        conv1=conv3x3(in_channels, out_channels, stride),
        bn1=nn.BatchNorm2d(out_channels),
        relu1=nn.ReLU(inplace=True),
        conv2=conv3x3(out_channels, out_channels),
        bn2=nn.BatchNorm2d(out_channels),
    )


class ResidualUnit(nn.Module):
    """ReLU(shortcut(x) + branch(x))."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.branch = branch
        self.shortcut = shortcut
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(self.shortcut(x) + self.branch(x))
        return out


def make_unit(kind: str, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """One unit of a stage: the branch alone, then ReLU, where `kind` is plain; else with its shortcut."""
    branch = nn.Sequential(basic_branch(in_channels, out_channels, stride))
    if kind == "plain":
        return nn.Sequential(OrderedDict(branch=branch, relu=nn.ReLU(inplace=True)))
    return ResidualUnit(branch, make_shortcut(kind, in_channels, out_channels, stride))
