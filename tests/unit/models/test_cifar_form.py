"""The CIFAR form against counts made elsewhere, and against hand computation."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch

from models import MODELS
from models.complexity import count
from models.resnet_spec import ResNetCifar

# Closed-form layer arithmetic, confirmed by torch's FlopCounterMode over a hand-built net; option B's parameters also
# agree with independently published implementations. (depth, shortcut): (parameters, MACs in millions).
COUNTS = {
    (20, "A"): (269722, 40.55),
    (20, "B"): (272474, 40.81),
    (20, "C"): (283962, 42.65),
    (32, "A"): (464154, 68.86),
    (32, "B"): (466906, 69.12),
    (32, "C"): (489594, 72.53),
    (44, "A"): (658586, 97.17),
    (44, "B"): (661338, 97.44),
    (44, "C"): (695226, 102.42),
    (56, "A"): (853018, 125.49),
    (56, "B"): (855770, 125.75),
    (56, "C"): (900858, 132.3),
    (110, "A"): (1727962, 252.89),
    (110, "B"): (1730714, 253.15),
    (110, "C"): (1826202, 266.78),
}


def cifar_count(spec: ResNetCifar):
    return count(spec, in_channels=3, num_classes=10, image_size=32)


@pytest.mark.parametrize(("depth", "shortcut"), COUNTS)
def test_counts_equal_the_closed_form(depth, shortcut):
    complexity = cifar_count(ResNetCifar(depth=depth, shortcut=shortcut))
    assert (complexity.params, round(complexity.macs / 1e6, 2)) == COUNTS[depth, shortcut]


def test_the_1202_layer_net_has_the_closed_form_parameters():
    assert cifar_count(ResNetCifar(depth=1202)).params == 19421274


def test_option_a_costs_exactly_what_the_plain_net_costs():
    plain, residual = (cifar_count(ResNetCifar(depth=20, shortcut=kind)) for kind in ("plain", "A"))
    assert (plain.params, plain.macs) == (residual.params, residual.macs)


def test_a_built_net_has_the_counted_parameters_on_digits():
    spec = ResNetCifar(depth=8, shortcut="B")
    net = spec.build(in_channels=1, num_classes=10, image_size=8)
    complexity = count(spec, in_channels=1, num_classes=10, image_size=8)
    assert complexity.params == sum(p.numel() for p in net.parameters())
    assert net(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_training_flops_leave_out_the_first_input_gradient():
    # 8 layers on 1x8x8: stem 9*16*64; stage 1 two 3x3 of 16; stages 2, 3 halve the side and double the channels.
    stem = 9 * 1 * 16 * 64
    stages = 2 * 9 * 16 * 16 * 64 + (9 * 16 * 32 + 9 * 32 * 32) * 16 + (9 * 32 * 64 + 9 * 64 * 64) * 4
    macs = stem + stages + 640
    complexity = count(ResNetCifar(depth=8), in_channels=1, num_classes=10, image_size=8)
    assert complexity.macs == macs
    assert complexity.train_flops_per_image == 6 * macs - 2 * stem


def test_stage_sums_are_named_after_the_parts_of_the_net():
    stages = cifar_count(ResNetCifar(depth=20)).stages
    assert [stage.name for stage in stages] == ["stem", "stage1", "stage2", "stage3", "fc"]
    # By hand: a 3x3 convolution from c to d channels and its batch norm have 9cd + 2d parameters.
    stage1 = 6 * (9 * 16 * 16 + 32)
    stage2 = (9 * 16 * 32 + 64) + 5 * (9 * 32 * 32 + 64)
    stage3 = (9 * 32 * 64 + 128) + 5 * (9 * 64 * 64 + 128)
    assert [stage.params for stage in stages] == [9 * 3 * 16 + 32, stage1, stage2, stage3, 650]


def test_convolutions_are_he_initialized_by_fan_out_without_biases():
    torch.manual_seed(0)
    net = ResNetCifar(depth=8).build(in_channels=3, num_classes=10, image_size=32)
    conv = net.get_submodule("stage3.0.branch.conv1")
    assert conv.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)
    biases = [name for name, _ in net.named_parameters() if name.endswith("bias") and ".bn" not in name]
    assert biases == ["fc.bias"]
    assert net.fc.bias.count_nonzero() == 0


def test_one_seed_gives_one_net():
    spec = ResNetCifar(depth=8)
    weights = []
    for _ in range(2):
        torch.manual_seed(7)
        weights.append(spec.build(in_channels=1, num_classes=10, image_size=8).state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_counting_neither_draws_random_numbers_nor_counts_twice():
    before = torch.get_rng_state()
    first = cifar_count(ResNetCifar(depth=14))
    assert torch.equal(torch.get_rng_state(), before)
    assert cifar_count(ResNetCifar(depth=14)) is first


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"depth": 21}, "depth 21 is not 6n+2; nearest: 20, 26"),
        ({"depth": 2}, "depth 2 is not 6n+2; nearest: 8"),
        ({"depth": "20"}, "depth must be a whole number, got '20'"),
        ({"depth": 20, "shortcut": "a"}, "shortcut 'a' is not known"),
        ({"depth": 20, "width": 0}, "width must be at least 1, got 0"),
    ],
)
def test_bad_axes_are_refused_with_what_is_allowed(axes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ResNetCifar(**axes)


@pytest.mark.parametrize(
    ("axes", "label", "family"),
    [
        ({"depth": 20, "shortcut": "plain"}, "plain-20", "plain"),
        ({"depth": 20}, "resnet-20-A", "residual"),
        ({"depth": 110, "shortcut": "C", "width": 32}, "resnet-110-C-w32", "residual"),
    ],
)
def test_labels_name_family_depth_and_shortcut(axes, label, family):
    spec = ResNetCifar(**axes)
    assert (spec.label, spec.family) == (label, family)


def test_importing_the_models_and_their_published_figures_does_not_import_torch():
    code = "import sys, models, models.published.entries, models.audit; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_every_model_is_listed_under_its_own_name():
    assert all(spec.name == name for name, spec in MODELS.items())
