"""Shapes without arithmetic: makes building and running a network on the meta device cheap.

Torch's own meta kernels for initialization, normalization and convolution are written in Python and cost milliseconds a
layer, seconds for a net of 1,202 layers. What they answer here is only a shape, so this mode answers it itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional, init
from torch.overrides import TorchFunctionMode


def _unchanged(*args: Tensor, **kwargs: Tensor) -> Tensor:
    """The first argument: torch.nn.init hands it over by keyword, others by position."""
    return args[0] if args else next(iter(kwargs.values()))


def _convolved(
    x: Tensor,
    weight: Tensor,
    _bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    _groups: int = 1,
) -> Tensor:
    size = zip(x.shape[2:], weight.shape[2:], _pair(stride), _pair(padding), _pair(dilation), strict=True)
    spatial = [(n + 2 * pad - spread * (k - 1) - 1) // step + 1 for n, k, step, pad, spread in size]
    if min(spatial) < 1:
        raise RuntimeError(f"an image of {tuple(x.shape[2:])} is smaller than the kernel {tuple(weight.shape[2:])}")
    return x.new_empty(x.shape[0], weight.shape[0], *spatial)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


_FILLS = (Tensor.normal_, Tensor.uniform_, Tensor.zero_, Tensor.fill_, Tensor.clamp_, Tensor.erfinv_, Tensor.mul_)
_INITS = (init.normal_, init.uniform_, init.trunc_normal_, init.constant_, init.zeros_, init.ones_)
_HE_INITS = (init.kaiming_normal_, init.kaiming_uniform_, init.xavier_uniform_)
_SAME_SHAPE = (functional.batch_norm, functional.layer_norm, functional.relu, functional.gelu, functional.silu)

_ANSWERS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    **dict.fromkeys(_FILLS + _INITS + _HE_INITS + _SAME_SHAPE, _unchanged),
    torch.conv2d: _convolved,
}


class ShapeMode(TorchFunctionMode):
    """Inside it, tensors have shapes but no meaningful values. Only for tensors on the meta device."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _ANSWERS.get(func, func)(*args, **(kwargs or {}))
