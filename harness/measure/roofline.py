"""How near to its limits a device is kept: MFU, arithmetic intensity, and which roof binds (Williams et al. 2009)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

ACTIVATION_PASSES = 5
"""How often each layer's output crosses the memory in a training step whose layers are not fused: written, read by the
next layer, read again for that layer's weight gradient; its own gradient written and read."""
PARAMETER_PASSES = 8
"""Of each parameter: read in forward and in backward; its gradient written; the optimizer reads gradient, weight and
momentum, and writes weight and momentum."""
PARAMETER_BYTES = 4
ACTIVATION_BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}


class Network(Protocol):
    """What is needed of `models.complexity.Complexity`."""

    @property
    def params(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def train_flops_per_image(self) -> int: ...


def mfu_pct(*, flops_per_s: float, peak_flops_per_s: float, devices: int) -> float:
    """Model FLOPs utilization (Chowdhery et al. 2022, appendix B): what training needs, over what the devices could do.

    Args:
        flops_per_s: the model's training FLOPs per image times images per second of the whole group; what is computed
            twice counts once, and batch norm, activations and additions not at all.
        peak_flops_per_s: of one device, dense, in the precision in use.
        devices: of the group.
    """
    return 100 * flops_per_s / (peak_flops_per_s * devices)


def intensity(network: Network, *, images: int, precision: str) -> float:
    """FLOPs per byte of memory traffic of one worker's training step, by the convention of the passes above.

    Args:
        network: its counts for one image.
        images: of one worker's share of a batch.
        precision: of the recipe.
    """
    activations = ACTIVATION_PASSES * ACTIVATION_BYTES[precision] * network.outputs * images
    parameters = PARAMETER_PASSES * PARAMETER_BYTES * network.params
    return network.train_flops_per_image * images / (activations + parameters)


@dataclass(frozen=True, kw_only=True)
class Roofs:
    """One device's limits, published or measured."""

    flops_per_s: float
    bytes_per_s: float

    @property
    def ridge(self) -> float:
        """FLOPs per byte from which on arithmetic binds and not memory."""
        return self.flops_per_s / self.bytes_per_s

    def binding(self, flops_per_byte: float) -> Literal["memory", "compute"]:
        """Which roof is the lower one at an intensity."""
        return "compute" if flops_per_byte >= self.ridge else "memory"

    def attainable_flops_per_s(self, flops_per_byte: float) -> float:
        """The lower of the two roofs at an intensity."""
        return min(self.flops_per_s, flops_per_byte * self.bytes_per_s)
