"""Peaks of devices, as their makers publish them: dense, without sparsity."""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = (
    "NVIDIA datasheets, as collected by pytorch/torchtitan (tools/utils.py) and mosaicml/composer (speed_monitor.py)"
)


@dataclass(frozen=True, kw_only=True)
class Peaks:
    """Published peaks of one device: FLOP/s of a dense matrix product, bytes/s of its memory."""

    flops_per_s: dict[str, float]
    """Precision of a recipe -> FLOP/s."""
    bytes_per_s: float


def _peaks(*, half: float, tf32: float, fp32: float, gigabytes_per_s: float) -> Peaks:
    """Return the peaks from TFLOP/s. bf16 and fp16 are equally fast on all of these devices."""
    tera = {"bf16": half, "fp16": half, "tf32": tf32, "fp32": fp32}
    return Peaks(flops_per_s={name: value * 1e12 for name, value in tera.items()}, bytes_per_s=gigabytes_per_s * 1e9)


PEAKS: dict[str, Peaks] = {
    "NVIDIA A100-SXM4-80GB": _peaks(half=312, tf32=156, fp32=19.5, gigabytes_per_s=2039),
    "NVIDIA A100-SXM4-40GB": _peaks(half=312, tf32=156, fp32=19.5, gigabytes_per_s=1555),
    "NVIDIA H100 80GB HBM3": _peaks(half=989.5, tf32=494.7, fp32=66.9, gigabytes_per_s=3350),
    "NVIDIA H200": _peaks(half=989.5, tf32=494.7, fp32=66.9, gigabytes_per_s=4800),
}
"""Device name -> its peaks. The name is exactly the one that the driver gives. A device whose name is only similar is
another device: an A100 behind PCIe or a MIG slice of an H100 has other peaks."""


def published_peaks(device_name: str) -> Peaks | None:
    """Return a device's peaks; None if they are not known here, never a guess."""
    return PEAKS.get(device_name)


def peaks_in_words(device_name: str) -> str:
    """Return a device's published peaks as text, or why it has no MFU."""
    peaks = published_peaks(device_name)
    if peaks is not None:
        tera = ", ".join(f"{name} {flops / 1e12:g}" for name, flops in peaks.flops_per_s.items())
        return f"{tera} TFLOP/s dense, {peaks.bytes_per_s / 1e9:g} GB/s ({SOURCE})"
    if "MIG" in device_name.split():
        return f"no MFU: {device_name} is a slice of a device, whose peaks nobody publishes"
    return f"no MFU: no published peak is known for {device_name}"
