"""Noise of any shape, made on the device, for timing without a data pipeline."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, ClassVar

from workloads.datasets.files import digest_of
from workloads.datasets.spec import DatasetSpec

if TYPE_CHECKING:
    import torch

    from workloads.datasets.noise import NoiseInMemory


@dataclass(frozen=True, kw_only=True)
class Synthetic(DatasetSpec):
    """Noise of any shape, made on the device. Nothing can be learned from it; it times what is not the data's."""

    channels: Annotated[int, (1, 1_024)] = 3
    image_size: Annotated[int, (1, 8_192)] = 32
    classes: Annotated[int, (1, 1_000_000)] = 10
    train_images: Annotated[int, (1, 1_000_000_000)] = 50_000
    test_images: Annotated[int, (1, 1_000_000_000)] = 10_000

    name: ClassVar[str] = "synthetic"
    origin: ClassVar[str] = "made when it is needed"
    version: ClassVar[str] = "noise 1"
    """Version of the noise, raised whenever the same settings give other images."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 1:
                raise ValueError(f"{field.name} is {value}; it must be at least 1")

    def fingerprint(self) -> str:
        """Return the digest of the settings, which determine the noise."""
        return digest_of(self.version, repr(sorted(self.identity().items())))

    def load(self, device: torch.device) -> NoiseInMemory:
        """Make the noise on the device."""
        from workloads.datasets.noise import NoiseInMemory

        return NoiseInMemory.of(self, device)
