"""Use of a device relative to its limits: MFU, arithmetic intensity, and the binding roof (Williams et al. 2009)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

ACTIVATION_PASSES = 5
"""Number of times that each layer's output crosses the memory in a training step without fused layers: it is written,
read by the next layer, and read again for that layer's weight gradient; its own gradient is written and read."""
PARAMETER_PASSES = 8
"""Number of times that each parameter crosses the memory in a training step: it is read in forward and in backward; its
gradient is written; the optimizer reads gradient, weight and momentum, and writes weight and momentum."""
PARAMETER_BYTES = 4
ACTIVATION_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}


class Network(Protocol):
    """The part of `models.complexity.Complexity` that is needed here."""

    @property
    def params(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def train_flops_per_image(self) -> int: ...


def mfu_pct(*, flops_per_s: float, peak_flops_per_s: float, devices: int) -> float:
    """Return the model FLOPs utilization (Chowdhery et al. 2022, appendix B).

    This is the rate of FLOPs that training needs, in percent of the devices' peak.

    Args:
        flops_per_s: the model's training FLOPs per image times images per second of the whole group. Operations that
            are computed twice count once; batch norm, activations and additions do not count.
        peak_flops_per_s: peak of one device, dense, in the precision in use.
        devices: number of devices in the group.
    """
    return 100 * flops_per_s / (peak_flops_per_s * devices)


def intensity(network: Network, *, images: int, precision: str) -> float:
    """Return the FLOPs per byte of memory traffic of one worker's training step, from the numbers of passes above.

    Args:
        network: its counts for one image.
        images: number of images in one worker's share of a batch.
        precision: precision of the recipe.
    """
    activations = ACTIVATION_PASSES * ACTIVATION_BYTES[precision] * network.outputs * images
    parameters = PARAMETER_PASSES * PARAMETER_BYTES * network.params
    return network.train_flops_per_image * images / (activations + parameters)


@dataclass(frozen=True, kw_only=True)
class Roofs:
    """The limits of one device, published or measured."""

    flops_per_s: float
    bytes_per_s: float

    @property
    def ridge(self) -> float:
        """Smallest FLOPs per byte at which arithmetic binds and not memory."""
        return self.flops_per_s / self.bytes_per_s

    def attainable_flops_per_s(self, flops_per_byte: float) -> float:
        """Return the lower of the two roofs at an intensity, in FLOPs per second."""
        return min(self.flops_per_s, flops_per_byte * self.bytes_per_s)
