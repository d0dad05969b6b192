"""The path around a residual branch: what carries the unit's input to the addition."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional


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


def projection(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Options B and C: a 1x1 convolution and batch norm (He 2015, equation 2)."""
    conv = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(out_channels)))


def make_shortcut(kind: str, in_channels: int, out_channels: int, stride: int) -> nn.Module:
    """The shortcut of one unit. A and B are the identity wherever the shape stays."""
    same_shape = in_channels == out_channels and stride == 1
    if kind == "C":
        return projection(in_channels, out_channels, stride)
    if same_shape:
        return nn.Identity()
    return {"A": ZeroPad, "B": projection}[kind](in_channels, out_channels, stride)
