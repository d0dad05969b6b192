"""Peaks, MFU and roofs against calculations by hand."""

import dataclasses

import pytest
from torch import nn

from harness.measure.peaks import PEAKS, peaks_in_words, published_peaks
from harness.measure.roofline import Roofs, intensity, mfu_pct
from models import MODELS
from models.complexity import count


@dataclasses.dataclass
class Counts:
    params: int = 1000
    outputs: int = 100
    train_flops_per_image: int = 60_000


def test_peaks_are_known_by_the_exact_name_alone():
    """NVIDIA's datasheets: H200 SXM, 1,979 TFLOP/s bf16 with sparsity, half of it dense; 4.8 TB/s."""
    h200 = published_peaks("NVIDIA H200")
    assert h200.flops_per_s["bf16"] == pytest.approx(1979e12 / 2)
    assert h200.bytes_per_s == 4.8e12
    for other in (
        "NVIDIA H200 NVL",
        "nvidia h200",
        "H200",
        "NVIDIA A100-PCIE-40GB",
        "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
    ):
        assert published_peaks(other) is None


def test_every_device_has_a_peak_for_every_precision_of_a_recipe():
    for peaks in PEAKS.values():
        assert set(peaks.flops_per_s) == {"fp32", "tf32", "bf16", "fp16"}


def test_what_is_unknown_is_said():
    assert peaks_in_words("NVIDIA H100 80GB HBM3 MIG 1g.10gb").startswith(
        "no MFU: NVIDIA H100 80GB HBM3 MIG 1g.10gb is a slice"
    )
    assert peaks_in_words("GeForce") == "no MFU: no published peak is known for GeForce"


def test_what_is_known_is_said_with_its_source():
    words = peaks_in_words("NVIDIA A100-SXM4-40GB")
    assert words.startswith("bf16 312, fp16 312, tf32 156, fp32 19.5 TFLOP/s dense, 1555 GB/s (NVIDIA datasheets")


def test_mfu_by_hand():
    """2,000 images/s of 24.7 GFLOP on two devices of 100 TFLOP/s each: 49.4 of 200 TFLOP/s."""
    assert mfu_pct(flops_per_s=2000 * 24.7e9, peak_flops_per_s=100e12, devices=2) == pytest.approx(24.7)


def test_intensity_by_hand():
    """Ten images: 600,000 FLOPs; 5 x 2 bytes x 100 x 10 of activations and 8 x 4 bytes x 1,000 of parameters."""
    assert intensity(Counts(), images=10, precision="bf16") == pytest.approx(600_000 / (10_000 + 32_000))


def test_more_images_raise_the_intensity_and_half_as_many_bytes_do_too():
    few, many = (intensity(Counts(), images=images, precision="fp32") for images in (1, 1000))
    assert few < many < intensity(Counts(), images=1000, precision="bf16")


def test_the_lower_roof_binds():
    """1,000 FLOP/s over 100 bytes/s: the roofs meet at 10 FLOPs a byte."""
    roofs = Roofs(flops_per_s=1000, bytes_per_s=100)
    assert roofs.ridge == 10
    assert roofs.attainable_flops_per_s(9.9) == pytest.approx(990)
    assert roofs.attainable_flops_per_s(10) == roofs.attainable_flops_per_s(50) == 1000


def test_outputs_are_counted_as_hooks_on_a_real_network_see_them():
    import torch

    spec = MODELS["resnet_cifar"](depth=8, shortcut="B")
    net = spec.build(in_channels=3, num_classes=10, image_size=32).eval()
    seen = []
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
            layer.register_forward_hook(lambda _layer, _args, out: seen.append(out.numel()))
    with torch.no_grad():
        net(torch.zeros(1, 3, 32, 32))
    assert count(spec, in_channels=3, num_classes=10, image_size=32).outputs == sum(seen)
