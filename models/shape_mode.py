"""Shapes without arithmetic: a mode that makes building and running a network on the meta device fast.

Torch's own meta kernels for initialization, normalization and convolution are written in Python and take milliseconds a
layer, seconds for a net of 1,202 layers. Only their shapes are needed here, so this mode computes these itself. It
leaves operations that it does not know to the meta kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional, init
from torch.overrides import TorchFunctionMode


class ShapeMode(TorchFunctionMode):
    """A mode in which new tensors are on the meta device and have shapes, but no values and no reliable strides."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return _ANSWERS.get(func, func)(*args, **(kwargs or {}))


def _on_meta(factory: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    return factory(*args, **{**kwargs, "device": "meta"})


def _unchanged(*args: Tensor, **kwargs: Tensor) -> Tensor:
    """Return the first argument: torch.nn.init passes it by keyword, other functions by position."""
    return args[0] if args else next(iter(kwargs.values()))


def _convolved(
    x: Tensor,
    weight: Tensor,
    _bias: Tensor | None = None,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    _groups: int = 1,
) -> Tensor:
    sides = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    out = [(side + 2 * pad - spread * (kernel - 1) - 1) // step + 1 for side, kernel, step, pad, spread in sides]
    if min(out) < 1:
        raise RuntimeError(f"an image of {tuple(x.shape[2:])} is smaller than the kernel {tuple(weight.shape[2:])}")
    return x.new_empty(x.shape[0], weight.shape[0], *out)


def _mapped(x: Tensor, weight: Tensor, _bias: Tensor | None = None) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[0])


def _pooled_to(x: Tensor, size: int | Sequence[int | None] | None) -> Tensor:
    sides = (size, size) if isinstance(size, int) else size
    if sides is None or None in sides:
        return functional.adaptive_avg_pool2d(x, size)  # type: ignore[arg-type]  # torch's stub lacks None
    return x.new_empty(*x.shape[:-2], *sides)


def _joined(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    shape = list(tensors[0].shape)
    shape[dim] = sum(tensor.shape[dim] for tensor in tensors)
    return tensors[0].new_empty(shape)


def _broadcast(x: Tensor, y: Any) -> Tensor:
    if not isinstance(y, Tensor) or x.shape == y.shape:
        return x
    return x.new_empty(torch.broadcast_shapes(x.shape, y.shape))  # type: ignore[no-untyped-call]


_FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.tensor, torch.arange, torch.linspace)
_FILLS = (Tensor.normal_, Tensor.uniform_, Tensor.zero_, Tensor.fill_, Tensor.clamp_, Tensor.erfinv_)
_INITS = (init.normal_, init.uniform_, init.trunc_normal_, init.constant_, init.zeros_, init.ones_)
_HE_INITS = (init.kaiming_normal_, init.kaiming_uniform_, init.xavier_uniform_)
_NORMS = (functional.batch_norm, functional.layer_norm, functional.local_response_norm)
_NONLINEARITIES = (functional.relu, functional.gelu, functional.silu, torch.relu, torch.sigmoid)

_ANSWERS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    **{factory: partial(_on_meta, factory) for factory in _FACTORIES},
    **dict.fromkeys(_FILLS + _INITS + _HE_INITS + _NORMS + _NONLINEARITIES, _unchanged),
    **dict.fromkeys((Tensor.add, Tensor.add_, Tensor.mul, Tensor.__rsub__), _broadcast),
    torch.conv2d: _convolved,
    functional.linear: _mapped,
    functional.adaptive_avg_pool2d: _pooled_to,
    torch.cat: _joined,
}
