"""Parameters, multiply-accumulates and training FLOPs of a network, layer by layer, without running it.

One MAC is a multiply and an add; one FLOP is either, so 1 MAC = 2 FLOPs. MACs are those of convolutions, fully
connected layers and attention products; batch norm, activations, pooling and additions count as nothing, as in the
papers. Each layer's MACs are closed-form arithmetic over its shapes, so that no version of torch decides how, say, a
grouped convolution is counted.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from models.layer_costs import kind_of, macs_of, owns_subtree
from models.shape_mode import ShapeMode
from models.spec import ModelSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerCost:
    """One layer that has parameters or MACs. Shapes leave the batch out."""

    name: str
    """Dotted path of the module in the network."""
    kind: str
    """conv, linear, norm, attention, or other."""
    output_shape: tuple[int, ...] | None
    """None for a module that has parameters but is never called itself."""
    params: int
    macs: int

    @property
    def activations(self) -> int:
        """Output elements of a layer that has MACs; 0 for others."""
        return math.prod(self.output_shape) if self.macs and self.output_shape is not None else 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageCost:
    """The sum over the layers under one child of the network: `stem`, `stage1`, ..., `fc`."""

    name: str
    params: int
    macs: int
    activations: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Complexity:
    """The cost of one forward pass of one image, and of training on it."""

    params: int
    macs: int
    activations: int
    """Output elements of all layers with MACs (as in Radosavovic et al. 2020, section 3.1, linear layers included)."""
    train_flops_per_image: int
    """Forward 2 x MACs, backward twice that, less the first convolution's gradient by its input, which is unused."""
    layers: tuple[LayerCost, ...]

    @property
    def outputs(self) -> int:
        """Output elements of all layers with parameters, normalization included."""
        return sum(math.prod(layer.output_shape) for layer in self.layers if layer.output_shape is not None)

    @property
    def norm_params(self) -> int:
        """Scales and shifts of normalization layers, which some papers leave out of their parameter counts."""
        return sum(layer.params for layer in self.layers if layer.kind == "norm")

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """Sums by top-level child, in the order of the layers."""
        grouped = itertools.groupby(self.layers, key=lambda layer: layer.name.partition(".")[0])
        return tuple(_sum_stage(name, tuple(layers)) for name, layers in grouped)


def count(spec: ModelSpec, *, in_channels: int, num_classes: int, image_size: int) -> Complexity:
    """Return the complexity of one network, built on the meta device. Each distinct set of arguments is counted once.

    Raises `ValueError` if the network cannot take the shape.
    """
    return _count(spec, in_channels, num_classes, image_size)


@functools.cache
def _count(spec: ModelSpec, in_channels: int, num_classes: int, image_size: int) -> Complexity:
    with torch.inference_mode(), ShapeMode():
        net = spec.build_for_counting(in_channels=in_channels, num_classes=num_classes, image_size=image_size).eval()
        return summarize(measure(net, torch.empty(1, in_channels, image_size, image_size)))


def measure(net: nn.Module, images: Tensor) -> tuple[LayerCost, ...]:
    """Run a batch of one image and return each layer's cost, in the order of definition."""
    return _Measurement().run(net, "", images)[0]


class _Measurement:
    """One pass through a net. A module that occurs again with the same input shape is not run again."""

    def __init__(self) -> None:
        self.known: dict[tuple[nn.Module, tuple[int, ...]], tuple[tuple[LayerCost, ...], Tensor]] = {}

    def run(self, module: nn.Module, path: str, x: Tensor) -> tuple[tuple[LayerCost, ...], Tensor]:
        """Return the module's layers, named under `path`, and its output."""
        key = (module, tuple(x.shape))
        if key not in self.known:
            chained = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
            self.known[key] = self._chain(module, x) if chained else _hooked(module, x)
        layers, out = self.known[key]
        return tuple(dataclasses.replace(layer, name=_join(path, layer.name)) for layer in layers), out

    def _chain(self, sequence: nn.Module, x: Tensor) -> tuple[tuple[LayerCost, ...], Tensor]:
        layers: list[LayerCost] = []
        for name, child in sequence._modules.items():  # noqa: SLF001  # named_children() leaves repeated modules out
            assert child is not None
            child_layers, x = self.run(child, name, x)
            layers += child_layers
        return tuple(layers), x


def _hooked(module: nn.Module, x: Tensor) -> tuple[tuple[LayerCost, ...], Tensor]:
    """Run a module that is not a plain sequence, and record the shapes at each of its layers."""
    macs: dict[nn.Module, int] = {}
    shapes: dict[nn.Module, tuple[int, ...]] = {}

    def note(layer: nn.Module, args: tuple[object, ...], output: object) -> None:
        shapes[layer] = _shape(output)[1:]
        macs[layer] = macs.get(layer, 0) + macs_of(layer, _shape(args[0]), _shape(output))

    layers = list(_cost_bearing(module))
    handles = [layer.register_forward_hook(note) for _, layer, _ in layers]
    out = module(x)
    for handle in handles:
        handle.remove()
    costs = (
        LayerCost(
            name=name, kind=kind_of(layer), output_shape=shapes.get(layer), params=params, macs=macs.get(layer, 0)
        )
        for name, layer, params in layers
    )
    return tuple(costs), out


def summarize(layers: tuple[LayerCost, ...]) -> Complexity:
    """Return the totals over layers."""
    macs = sum(layer.macs for layer in layers)
    first_conv_macs = next((layer.macs for layer in layers if layer.kind == "conv"), 0)
    return Complexity(
        params=sum(layer.params for layer in layers),
        macs=macs,
        activations=sum(layer.activations for layer in layers),
        train_flops_per_image=3 * 2 * macs - 2 * first_conv_macs,
        layers=layers,
    )


def _cost_bearing(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module, int]]:
    """Yield every module with parameters of its own, each parameter exactly once: (path, module, parameters)."""
    whole = owns_subtree(module)
    params = sum(p.numel() for p in module.parameters(recurse=whole))
    if params:
        yield path, module, params
    if not whole:
        for name, child in module.named_children():
            yield from _cost_bearing(child, _join(path, name))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _shape(value: object) -> tuple[int, ...]:
    """Return the shape of a tensor, or of the first of several."""
    if isinstance(value, tuple):
        return _shape(value[0])
    assert isinstance(value, Tensor), type(value)
    return tuple(value.shape)


def _sum_stage(name: str, layers: tuple[LayerCost, ...]) -> StageCost:
    return StageCost(
        name=name or "(whole)",
        params=sum(layer.params for layer in layers),
        macs=sum(layer.macs for layer in layers),
        activations=sum(layer.activations for layer in layers),
    )
