"""Specifications of the plain, residual and pre-activation networks: axes, what they allow, and how they are labelled.

He 2015 is "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), He 2016 is "Identity Mappings in Deep
Residual Networks" (arXiv 1603.05027).
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from models.checks import require_choice, require_depth, require_int
from models.spec import Family, ModelSpec

if TYPE_CHECKING:
    from torch import nn

SHORTCUTS = ("plain", "A", "B", "C")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetSpec(ModelSpec):
    """What the CIFAR and the ImageNet form have in common."""

    depth: int
    """Weighted layers on the main path: convolutions and the classifier. Projections on shortcuts do not count."""
    shortcut: str = "B"
    """`plain` has none. `A` subsamples and pads with zero channels, `B` projects (1x1 convolution and batch norm) where
    the shape changes, `C` projects everywhere (He 2015, section 3.3 and Table 3)."""
    width: int = 64
    """Channels of the stem and of the first stage; each later stage doubles them."""

    native_width: ClassVar[int]

    def __post_init__(self) -> None:
        require_choice("shortcut", self.shortcut, SHORTCUTS)
        require_int("width", self.width, at_least=1)

    @property
    def stage_depths(self) -> tuple[int, ...]:
        """Units in each stage."""
        raise NotImplementedError

    @property
    def family(self) -> Family:
        return "plain" if self.shortcut == "plain" else "residual"

    @property
    def label(self) -> str:
        parts = ["plain", str(self.depth)] if self.shortcut == "plain" else ["resnet", str(self.depth), self.shortcut]
        if self.width != self.native_width:
            parts.append(f"w{self.width}")
        return "-".join(parts)

    def build(self, *, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
        from models.resnet import ResNet

        require_int("in_channels", in_channels, at_least=1)
        require_int("num_classes", num_classes, at_least=1)
        require_int("image_size", image_size, at_least=1)
        return ResNet(self, in_channels=in_channels, num_classes=num_classes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetCifar(ResNetSpec):
    """The small-image form (He 2015, section 4.2): 3x3 stem, three stages of n units, any image size and channels."""

    name: ClassVar[str] = "resnet_cifar"
    native_width: ClassVar[int] = 16

    shortcut: str = "A"
    width: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        require_depth(self.depth, step=6)

    @property
    def stage_depths(self) -> tuple[int, ...]:
        n = (self.depth - 2) // 6
        return (n, n, n)
