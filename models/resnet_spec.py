"""Specifications of the plain, residual and pre-activation networks: their two forms and stage tables.

Papers are cited as in `models.resnet_axes`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from models.checks import nearest_numbers, require_choice, require_int
from models.provenance import source_of
from models.resnet_axes import Block, ResNetAxes, Width
from models.resnet_rules import check, normalize

if TYPE_CHECKING:
    from torch import nn


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetSpec(ResNetAxes):
    """A network with its axes, which are checked against each other."""

    def __post_init__(self) -> None:
        normalize(self)
        check(self)

    @property
    def source(self) -> str | None:
        return source_of(self)

    def build(self, *, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
        from models.resnet import ResNet

        _check_shape(in_channels, num_classes, image_size)
        return ResNet(self, in_channels=in_channels, num_classes=num_classes)

    def build_for_counting(self, *, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
        from models.resnet import ResNet

        _check_shape(in_channels, num_classes, image_size)
        return ResNet(self, in_channels=in_channels, num_classes=num_classes, share_equal_units=True)


def _check_shape(in_channels: int, num_classes: int, image_size: int) -> None:
    require_int("in_channels", in_channels, at_least=1)
    require_int("num_classes", num_classes, at_least=1)
    require_int("image_size", image_size, at_least=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetCifar(ResNetSpec):
    """The small-image form (He 2015, section 4.2): 3x3 stem, three stages of n units, any image size and channels."""

    name: ClassVar[str] = "resnet_cifar"
    native_width: ClassVar[int] = 16
    names_block: ClassVar[bool] = True
    layers_per_n: ClassVar[dict[str, int]] = {"single": 3, "basic": 6, "bottleneck": 9}

    shortcut: str = "A"
    width: Width = 16
    block: str = "basic"
    """Kind of unit: `basic` has depths 6n+2, `bottleneck` 9n+2 (He 2016: 164, 1001), `single` 3n+2 ("1layer")."""

    @property
    def unit(self) -> Block:
        return self.block  # type: ignore[return-value]  # checked by check_depth, which runs first

    @property
    def stage_depths(self) -> tuple[int, ...]:
        n = (self.depth - 2) // self.layers_per_n[self.block]
        return (n, n, n)

    def check_depth(self) -> None:
        require_choice("block", self.block, self.layers_per_n)
        require_int("depth", self.depth, at_least=1)
        step = self.layers_per_n[self.block]
        if self.depth > 2 and (self.depth - 2) % step == 0:
            return
        below = max(self.depth - 2, step) // step * step + 2
        nearest = nearest_numbers(self.depth, (below, below + step))
        others = [
            kind for kind, layers in self.layers_per_n.items() if self.depth > 2 and (self.depth - 2) % layers == 0
        ]
        hint = f"; block {' or '.join(others)} can have {self.depth}" if others else ""
        raise ValueError(f"depth {self.depth} is not {step}n+2; nearest: {nearest}{hint}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetImageNet(ResNetSpec):
    """The ImageNet form (He 2015, Table 1): 7x7 stride-2 stem, max pooling, four stages; 224 pixels."""

    name: ClassVar[str] = "resnet_imagenet"
    native_width: ClassVar[int] = 64
    names_block: ClassVar[bool] = False
    # He 2015, Table 1; 200 from He 2016, Table 5 and its released code.
    stage_table: ClassVar[dict[int, tuple[Block, tuple[int, ...]]]] = {
        18: ("basic", (2, 2, 2, 2)),
        34: ("basic", (3, 4, 6, 3)),
        50: ("bottleneck", (3, 4, 6, 3)),
        101: ("bottleneck", (3, 4, 23, 3)),
        152: ("bottleneck", (3, 8, 36, 3)),
        200: ("bottleneck", (3, 24, 36, 3)),
    }

    @property
    def unit(self) -> Block:
        return self.stage_table[self.depth][0]

    @property
    def stage_depths(self) -> tuple[int, ...]:
        return self.stage_table[self.depth][1]

    @property
    def image_size(self) -> int:
        return 224

    def check_depth(self) -> None:
        require_int("depth", self.depth, at_least=1)
        if self.depth not in self.stage_table:
            nearest = nearest_numbers(self.depth, self.stage_table)
            allowed = ", ".join(map(str, self.stage_table))
            raise ValueError(f"depth {self.depth} is not in the stage table; nearest: {nearest}; allowed: {allowed}")
