"""The interface of model specifications. Pure data: importing this, or any specification, does not import torch."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from torch import nn

Family = Literal["plain", "residual", "preact", "reference"]
Scalar = str | int | float | bool | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelSpec(ABC):
    """One network, identified by the values of its axes. The dataclass fields are the axes; all are JSON scalars.

    Each number is annotated with its bounds in a workload file: `Annotated[int, (1, 20_000)]`. The constructor
    validates the values: `ValueError` says what is wrong, which value, what is allowed and what is nearest.
    """

    name: ClassVar[str]
    """The model's name in a workload file, and its key in `models.MODELS`."""

    @property
    @abstractmethod
    def family(self) -> Family:
        """The group that a report compares: plain, residual, preact, or reference."""

    @property
    @abstractmethod
    def label(self) -> str:
        """A short unique name among the specs of one model, such as `resnet-20-A`."""

    @property
    def image_size(self) -> int | None:
        """Side in pixels of the crop that the paper uses, or None if any size is possible."""
        return None

    @property
    def branches_end_in_norm(self) -> bool:
        """Whether each residual branch ends in batch norm, whose scale may start at 0 (Goyal 2017, section 5.1)."""
        return False

    @property
    def takes_any_size(self) -> bool:
        """Whether a trained network takes images of any size, with its classifier averaged over all positions."""
        return False

    @property
    def source(self) -> str | None:
        """The paper that defines exactly this network, or None if no paper does."""
        return None

    @abstractmethod
    def build(self, *, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
        """Build the network: (batch, in_channels, image_size, image_size) -> (batch, num_classes) logits.

        Weights are drawn from torch's global generator, so that one seed gives one network.
        Raises `ValueError` for a shape that the network cannot take.
        """

    def build_for_counting(self, *, in_channels: int, num_classes: int, image_size: int) -> nn.Module:
        """Build the network only for counting: equal parts may be one module, so that a deep net costs little."""
        return self.build(in_channels=in_channels, num_classes=num_classes, image_size=image_size)

    @property
    def axes(self) -> dict[str, Scalar]:
        """Resolved value of every axis, defaults included."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def axis_names(cls) -> tuple[str, ...]:
        """Return the axes that a workload file may vary."""
        return tuple(field.name for field in dataclasses.fields(cls))

    @classmethod
    def required_axes(cls) -> tuple[str, ...]:
        """Return the axes that have no default."""
        return tuple(field.name for field in dataclasses.fields(cls) if field.default is dataclasses.MISSING)
