"""Noise on the device, as a loaded data set."""

from __future__ import annotations

import torch
from torch import Tensor

from workloads.datasets.in_memory import ImagesInMemory
from workloads.datasets.normalization import Normalization
from workloads.datasets.spec import DatasetSpec, Split

POOL_BYTES = 2**27
"""Largest size in bytes of the distinct images on the device; after the last image comes the first again."""


class NoiseInMemory(ImagesInMemory):
    """Uniform noise. Both parts use one pool of images, so that a data set of any length fits a device."""

    @classmethod
    def of(cls, spec: DatasetSpec, device: torch.device) -> NoiseInMemory:
        """Make the noise of some settings: the same in each process, different on another kind of device."""
        shape = (spec.channels, spec.image_size, spec.image_size)
        count = min(max(spec.train_images, spec.test_images), max(1, POOL_BYTES // torch.Size(shape).numel()))
        generator = torch.Generator(device).manual_seed(0)
        pool = torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator, device=device)
        return cls(
            train_pixels=pool,
            train_labels=torch.arange(spec.train_images, device=device) % spec.classes,
            test_pixels=pool,
            test_labels=torch.arange(spec.test_images, device=device) % spec.classes,
            normalization=_UNIFORM.to(device),
        )

    def pixels(self, split: Split, rows: Tensor) -> Tensor:
        """Return some images by their indices, which wrap around the pool."""
        return super().pixels(split, rows % len(self.train_pixels))


_UNIFORM = Normalization(
    torch.tensor(127.5, dtype=torch.float64), torch.tensor((256**2 - 1) / 12, dtype=torch.float64).sqrt()
)
"""Mean and deviation of the whole numbers from 0 to 255, all equally likely."""
