"""The axes and labels of the plain, residual and pre-activation networks.

He 2015 is "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), He 2016 "Identity Mappings in Deep
Residual Networks" (arXiv 1603.05027), Xie 2017 "Aggregated Residual Transformations" (arXiv 1611.05431), Hu 2018
"Squeeze-and-Excitation Networks" (arXiv 1709.01507), Zagoruyko 2016 "Wide Residual Networks" (arXiv 1605.07146).
"""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from typing import Annotated, ClassVar, Literal

from models.spec import Family, ModelSpec

ORIGINAL = "original"
FULL_PREACT = "full_preact"
PREACT = ("relu_only_preact", FULL_PREACT)
ACTIVATIONS = (ORIGINAL, "bn_after_add", "relu_before_add", *PREACT)
GATES = ("exclusive_gate", "shortcut_gate")
PROJECTED_EVERYWHERE = ("C", "conv1x1")
SHORTCUTS = ("plain", "A", "B", *PROJECTED_EVERYWHERE, "constant", *GATES, "dropout")

Width = Annotated[int, (1, 8_192)]
"""Number of channels. The last stage has up to 32 times as many, so that one of its layers would fill a GPU."""
Factor = Annotated[float | None, (-1_000, 1_000)]
"""Factor on a shortcut or a branch, or the bias of a gate."""
Block = Literal["single", "basic", "bottleneck"]
EXPANSION = {"single": 1, "basic": 1, "bottleneck": 4}
"""Output channels of a unit, as a multiple of the stage's nominal channels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetAxes(ModelSpec):
    """The axes that the CIFAR and the ImageNet form have in common, and the properties that follow from them."""

    depth: Annotated[int, (1, 20_000)]
    """Weighted layers on the main path: convolutions and the classifier. Shortcuts, gates and squeezes are not counted.
    Networks of up to 10,000 layers have been trained (Xiao 2018, arXiv 1806.05393)."""
    shortcut: str = "B"
    """Kind of shortcut. `plain` has none; `A` subsamples and pads with zero channels; `B` projects (1x1 convolution,
    batch norm) if the shape changes; `C` projects everywhere (He 2015, section 3.3 and Table 3). The ablations of He
    2016, Table 1, modify A's shortcut in every unit: `constant` scales it by `shortcut_scale` and the branch by
    `residual_scale`; `exclusive_gate` and `shortcut_gate` gate it, from `gate_bias`; `dropout` drops it with
    `dropout_rate`; `conv1x1` is that paper's name for C."""
    activation: str = ORIGINAL
    """Places of batch norm and ReLU around the addition (He 2016, Figure 4): `original`, `bn_after_add`,
    `relu_before_add`, `relu_only_preact`, `full_preact`."""
    width: Width = 64
    """Channels of the stem and nominal channels of the first stage; each later stage doubles them."""
    cardinality: Annotated[int, (1, 1_024)] = 1
    """Groups of a bottleneck's 3x3 convolution (Xie 2017). More than one needs `group_width`."""
    group_width: Annotated[int | None, (1, 8_192)] = None
    """Channels of each group of the first stage's 3x3 convolution; None means `width`. ResNeXt 32x4d has cardinality 32
    and group width 4; the wide ResNet-50-2 has cardinality 1 and group width 128 (Zagoruyko 2016, Table 8)."""
    se: Annotated[int, (0, 32_768)] = 0
    """Reduction ratio of squeeze-and-excitation at the end of each branch (Hu 2018, section 3: 16). 0 means none."""
    stride_in: str | None = None
    """Convolution of a bottleneck that halves the resolution: `1x1` (He 2015) or `3x3` (Xie 2017; torchvision calls it
    v1.5). None becomes the choice of this net's paper. Blocks without a 1x1 halve it in their first 3x3."""
    shortcut_scale: Factor = None
    """Factor on the shortcut, only for `constant`."""
    residual_scale: Factor = None
    """Factor on the branch, only for `constant`."""
    gate_bias: Factor = None
    """Initial bias, only for the two gates: -6 opens the shortcut and, with exclusive gates, shuts the branch."""
    dropout_rate: Annotated[float | None, (0, 1)] = None
    """Share of the shortcut's elements dropped in training, only for `dropout`. The rest grows to keep the mean."""

    native_width: ClassVar[int]
    names_block: ClassVar[bool]
    """Whether the label must name the block, because the depth does not determine it."""

    @property
    @abstractmethod
    def unit(self) -> Block:
        """Kind of unit: one 3x3 convolution, two, or 1x1, 3x3, 1x1."""

    @property
    @abstractmethod
    def stage_depths(self) -> tuple[int, ...]:
        """Units in each stage."""

    @abstractmethod
    def check_depth(self) -> None:
        """Refuse a depth that the form cannot have, and name the nearest allowed one."""

    @property
    def expansion(self) -> int:
        """Output channels of a unit, as a multiple of the stage's nominal channels."""
        return EXPANSION[self.unit]

    @property
    def family(self) -> Family:
        if self.shortcut == "plain":
            return "plain"
        return "preact" if self.activation in PREACT else "residual"

    @property
    def label(self) -> str:
        prefix = "preresnet" if self.activation == FULL_PREACT else "resnet"
        kind = ["plain", str(self.depth)] if self.family == "plain" else [prefix, str(self.depth), self.shortcut]
        return "-".join([*kind, *self._label_extras()])

    def _label_extras(self) -> list[str]:
        """Return the differences from the plainest net of this depth and shortcut."""
        numbers = [
            ("s", self.shortcut_scale),
            ("r", self.residual_scale),
            ("b", self.gate_bias),
            ("p", self.dropout_rate),
        ]
        grouped = self.cardinality > 1 or self.group_width is not None
        extras = {
            self.unit: self.names_block and self.unit != "basic",
            self.activation: self.activation not in (ORIGINAL, FULL_PREACT),
            **{f"{letter}{value:g}": True for letter, value in numbers if value is not None},
            f"w{self.width}": self.width != self.native_width,
            f"{self.cardinality}x{self.group_width}d": grouped,
            f"se{self.se}": self.se > 0,
            f"stride{self.stride_in}": self.unit == "bottleneck" and self.stride_in != self.paper_stride_in,
        }
        return [text for text, shown in extras.items() if shown]

    @property
    def paper_stride_in(self) -> str:
        """The convolution in which the paper that defines this net halves the resolution."""
        descends = self.cardinality > 1 or self.group_width is not None
        return "3x3" if self.unit != "bottleneck" or descends else "1x1"

    @property
    def branches_end_in_norm(self) -> bool:
        return self.shortcut != "plain" and self.activation in (ORIGINAL, "relu_only_preact")

    @property
    def takes_any_size(self) -> bool:
        return True
