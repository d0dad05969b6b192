"""Multiply-accumulates of one layer, in closed form over its shapes. One entry in `_RULES` for each kind of layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import nn

Shape = tuple[int, ...]


def conv_macs(conv: nn.Conv2d, _: Shape, output: Shape) -> int:
    """Return the MACs of a convolution: each output element sums over the kernel and the channels of its group."""
    return math.prod(output) * (conv.in_channels // conv.groups) * math.prod(conv.kernel_size)


def linear_macs(linear: nn.Linear, _: Shape, output: Shape) -> int:
    """Return the MACs of a linear layer: each output element sums over the input features."""
    return math.prod(output) * linear.in_features


def attention_macs(attention: Any, tokens_shape: Shape, _: Shape) -> int:
    """Count self-attention over (batch, tokens, width): three input maps, one output map, QK^T, weighted sum of V."""
    assert attention.batch_first, "the axis of the tokens is taken to be the second"
    batch, tokens, width = tokens_shape
    return batch * _attention(tokens, width)


def window_attention_macs(attention: Any, image_shape: Shape, _: Shape) -> int:
    """Return the MACs of Swin's attention in windows of (batch, height, width, channels), padded to whole windows."""
    batch, height, width, channels = image_shape
    rows, columns = attention.window_size
    windows: int = math.ceil(height / rows) * math.ceil(width / columns)
    return batch * windows * _attention(rows * columns, channels)


def _attention(tokens: int, width: int) -> int:
    projections = 4 * tokens * width * width
    products = 2 * tokens * tokens * width
    return projections + products


class _Rule(NamedTuple):
    kind: str
    macs: Callable[[Any, Shape, Shape], int] | None = None
    owns_subtree: bool = False
    """Whether the layer uses its children's weights without calling them."""


# By class name, so that torchvision need not be imported to know its window attention.
_RULES = {
    "Conv2d": _Rule("conv", conv_macs),
    "Linear": _Rule("linear", linear_macs),
    "MultiheadAttention": _Rule("attention", attention_macs, owns_subtree=True),
    "ShiftedWindowAttention": _Rule("attention", window_attention_macs, owns_subtree=True),
    "_BatchNorm": _Rule("norm"),
    "LayerNorm": _Rule("norm"),
}
_OTHER = _Rule("other")


def kind_of(layer: nn.Module) -> str:
    """Return conv, linear, norm, attention, or other."""
    return _rule(layer).kind


def macs_of(layer: nn.Module, input_shape: Shape, output_shape: Shape) -> int:
    """Return the MACs of one call of the layer, without its children unless it owns them. Shapes include the batch."""
    rule = _rule(layer)
    return rule.macs(layer, input_shape, output_shape) if rule.macs else 0


def owns_subtree(layer: nn.Module) -> bool:
    """Return whether the layer's children are parts of it that are never called themselves."""
    return _rule(layer).owns_subtree


def _rule(layer: nn.Module) -> _Rule:
    names = (cls.__name__ for cls in type(layer).__mro__)
    return next((_RULES[name] for name in names if name in _RULES), _OTHER)
