"""The nets that residual ones are compared with: torchvision's own classes, by name, and ZFNet.

Their name is their only axis. Each has the crop that it was published at; other crops work if the net allows them.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from models.checks import require_int
from models.spec import Family, ModelSpec

if TYPE_CHECKING:
    from torch import nn


class NetInfo(NamedTuple):
    """The fixed properties of one net."""

    crop_px: int
    smallest_px: int
    """Smallest side of an image, in pixels: below it a layer has no input left (torchvision's `min_size`)."""
    source: str


_VGG = NetInfo(224, 32, "Simonyan 2015 (arXiv 1409.1556)")
_VGG_BN = NetInfo(224, 32, "Simonyan 2015 (arXiv 1409.1556), with the batch norm of arXiv 1502.03167")
_DENSENET = NetInfo(224, 29, "Huang 2017 (arXiv 1608.06993)")
_EFFICIENTNET = "Tan 2019 (arXiv 1905.11946)"
_CONVNEXT = NetInfo(224, 32, "Liu 2022 (arXiv 2201.03545)")

TORCHVISION = {
    "alexnet": NetInfo(224, 63, "Krizhevsky 2014 (arXiv 1404.5997): the one-column AlexNet"),
    "vgg16": _VGG,
    "vgg16_bn": _VGG_BN,
    "vgg19": _VGG,
    "vgg19_bn": _VGG_BN,
    "googlenet": NetInfo(224, 15, "Szegedy 2015 (arXiv 1409.4842), with batch norm and without auxiliary classifiers"),
    "densenet121": _DENSENET,
    "densenet161": _DENSENET,
    "densenet169": _DENSENET,
    "densenet201": _DENSENET,
    "efficientnet_b0": NetInfo(224, 1, _EFFICIENTNET),
    "efficientnet_b1": NetInfo(240, 1, _EFFICIENTNET),
    "efficientnet_b2": NetInfo(288, 1, _EFFICIENTNET),
    "efficientnet_b3": NetInfo(300, 1, _EFFICIENTNET),
    "efficientnet_b4": NetInfo(380, 1, _EFFICIENTNET),
    "efficientnet_b5": NetInfo(456, 1, _EFFICIENTNET),
    "efficientnet_b6": NetInfo(528, 1, _EFFICIENTNET),
    "efficientnet_b7": NetInfo(600, 1, _EFFICIENTNET),
    "convnext_tiny": _CONVNEXT,
    "convnext_small": _CONVNEXT,
    "convnext_base": _CONVNEXT,
    "convnext_large": _CONVNEXT,
    "swin_t": NetInfo(224, 32, "Liu 2021 (arXiv 2103.14030)"),
    "vit_b_16": NetInfo(224, 16, "Dosovitskiy 2021 (arXiv 2010.11929)"),
}
"""Name -> crop and source; the crops are those of torchvision's first published weights."""

_PATCH_PX = {"vit_b_16": 16}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparator(ModelSpec):
    """A net with a name, a crop and no other axis."""

    info: ClassVar[NetInfo]

    @property
    def family(self) -> Family:
        return "reference"

    @property
    def label(self) -> str:
        return self.name

    @property
    def image_size(self) -> int:
        return self.info.crop_px

    @property
    def source(self) -> str:
        return self.info.source

    def check_shape(self, in_channels: int, num_classes: int, image_size: int) -> None:
        """Raise `ValueError` for images that the net cannot take."""
        require_int("num_classes", num_classes, at_least=1)
        require_int("image_size", image_size, at_least=1)
        if in_channels != 3:
            raise ValueError(f"model {self.name} takes colour images: 3 channels, not {in_channels}")
        if image_size < self.info.smallest_px:
            raise ValueError(f"model {self.name} needs images of {self.info.smallest_px} px or more, got {image_size}")
        patch_px = _PATCH_PX.get(self.name, 1)
        if image_size % patch_px:
            raise ValueError(f"model {self.name} needs an image size that {patch_px} divides, got {image_size}")

    def __reduce__(self) -> tuple[object, tuple[str]]:
        # The classes are made in a loop below, so pickle would not find them by name.
        return comparator, (self.name,)


class _TorchvisionNet(Comparator):
    """One of torchvision's classification models, with fresh weights."""

    def build(self, *, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
        from torchvision.models import get_model

        self.check_shape(in_channels, num_classes, image_size)
        options: dict[str, object] = {}
        if self.name == "googlenet":
            options = {"aux_logits": False, "init_weights": True}
        elif self.name in _PATCH_PX:
            options = {"image_size": image_size}
        net: nn.Module = get_model(self.name, weights=None, num_classes=num_classes, **options)
        return net


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZFNet(Comparator):
    """AlexNet with a 7x7 stride-2 first and a stride-2 second convolution (Zeiler and Fergus 2014, Figure 3)."""

    name: ClassVar[str] = "zfnet"
    info: ClassVar[NetInfo] = NetInfo(224, 63, "Zeiler 2014 (arXiv 1311.2901), Figure 3")

    def build(self, *, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
        from models.zfnet import zfnet

        self.check_shape(in_channels, num_classes, image_size)
        return zfnet(num_classes)


def _torchvision_spec(name: str, info: NetInfo) -> type[Comparator]:
    made = dataclasses.make_dataclass(
        name, [], bases=(_TorchvisionNet,), namespace={"name": name, "info": info}, frozen=True, kw_only=True
    )
    made.__doc__ = f"{name} of torchvision: {info.source}."
    made.__module__ = __name__
    return made


COMPARATORS: dict[str, type[Comparator]] = {
    **{name: _torchvision_spec(name, info) for name, info in TORCHVISION.items()},
    ZFNet.name: ZFNet,
}
"""Name -> specification."""


def comparator(name: str) -> Comparator:
    """Return the net of this name. Raises `KeyError` for an unknown one."""
    return COMPARATORS[name]()
