"""Shortcuts, gates, activation orders and squeezes, each against a hand computation on a tiny tensor."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from models import ResNetCifar, ResNetImageNet
from models.blocks import SqueezeExcitation
from models.complexity import count
from models.shortcuts import Gate, ZeroPad


def build(spec, *, in_channels=1, num_classes=1, seed=0):
    torch.manual_seed(seed)
    return spec.build(in_channels=in_channels, num_classes=num_classes, image_size=4)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_option_a_takes_every_second_pixel_and_appends_zero_channels():
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    out = ZeroPad(1, 2, stride=2)(image)
    assert out.tolist() == [[[[0.0, 2.0], [6.0, 8.0]], [[0.0, 0.0], [0.0, 0.0]]]]


def test_option_a_without_stride_only_appends_channels():
    assert ZeroPad(1, 3, stride=1)(torch.tensor([[[[5.0]]]])).flatten().tolist() == [5.0, 0.0, 0.0]


def test_a_gate_is_the_sigmoid_of_a_1x1_convolution():
    gate = Gate(2, 2, stride=1, bias=-1.0)
    gate.weight.data = torch.tensor([[1.0, 2.0], [0.5, -1.0]]).reshape(2, 2, 1, 1)
    out = gate(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)).flatten().tolist()
    assert out == pytest.approx([sigmoid(3 + 8 - 1), sigmoid(1.5 - 4 - 1)])


class Times(nn.Module):
    """A branch that is easy to compute by hand."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        # x = 2, branch 3x = 6, gate g = sigmoid(0.5 * 2 - 1) = 0.5
        ({"shortcut": "exclusive_gate", "gate_bias": -1}, 0.5 * 2 + 0.5 * 6),
        ({"shortcut": "shortcut_gate", "gate_bias": -1}, 0.5 * 2 + 6),
        ({"shortcut": "A"}, 2 + 6),
        ({"shortcut": "plain"}, 6),
        ({"shortcut": "constant", "shortcut_scale": 0.5, "residual_scale": 1}, 0.5 * 2 + 6),
    ],
)
def test_a_unit_adds_what_its_shortcut_says(axes, expected):
    unit = build(ResNetCifar(depth=8, width=1, **axes)).get_submodule("stage1.0")
    unit.branch = Times(3.0)
    for gate in (module for module in unit.modules() if isinstance(module, Gate)):
        nn.init.constant_(gate.weight, 0.5)
    assert unit(torch.tensor([[[[2.0]]]])).item() == pytest.approx(expected)


def test_the_residual_scale_multiplies_the_end_of_the_branch():
    spec = ResNetCifar(depth=8, shortcut="constant", shortcut_scale=0.5, residual_scale=0.25)
    branch = build(spec).get_submodule("stage1.0.branch")
    whole = nn.Sequential(*list(branch)[:-1]).eval()
    x = torch.randn(1, 16, 4, 4)
    assert torch.equal(branch.eval()(x), 0.25 * whole(x))


def test_squeeze_and_excitation_scales_each_channel_by_its_gate():
    squeeze = SqueezeExcitation(2, reduction=2)
    squeeze.squeeze.weight.data = torch.tensor([[1.0, -2.0]])
    squeeze.excite.weight.data = torch.tensor([[1.0], [-1.0]])
    x = torch.tensor([[4.0, 8.0], [1.0, 3.0]]).reshape(1, 2, 1, 2)
    # means 6 and 2; squeezed relu(6 - 4) = 2; factors sigmoid(2), sigmoid(-2)
    expected = [4 * sigmoid(2), 8 * sigmoid(2), sigmoid(-2), 3 * sigmoid(-2)]
    assert squeeze(x).flatten().tolist() == pytest.approx(expected)


def test_squeeze_and_excitation_adds_the_papers_parameters_to_resnet_50():
    # Hu 2018, equation 5: 2/r * sum over stages of N_s C_s^2, r = 16.
    added = 2 * (3 * 256**2 + 4 * 512**2 + 6 * 1024**2 + 3 * 2048**2) // 16
    with_se, without = (
        count(ResNetImageNet(depth=50, se=se), in_channels=3, num_classes=1000, image_size=224) for se in (16, 0)
    )
    assert with_se.params - without.params == added == 2514944


# He 2016, Figure 4: the layers of a branch, then what follows the addition.
FIGURE_4 = {
    "original": ("conv bn relu conv bn", "relu"),
    "bn_after_add": ("conv bn relu conv", "bn relu"),
    "relu_before_add": ("conv bn relu conv bn relu", ""),
    "relu_only_preact": ("relu conv bn relu conv bn", ""),
    "full_preact": ("bn relu conv bn relu conv", ""),
}
WORDS = {nn.Conv2d: "conv", nn.BatchNorm2d: "bn", nn.ReLU: "relu"}


def words(module):
    return " ".join(WORDS[type(layer)] for layer in module.modules() if type(layer) in WORDS)


@pytest.mark.parametrize("activation", FIGURE_4)
def test_a_unit_has_the_layers_of_figure_4_in_their_order(activation):
    unit = build(ResNetCifar(depth=14, activation=activation)).get_submodule("stage1.1")
    assert (words(unit.branch), words(unit.after)) == FIGURE_4[activation]


@pytest.mark.parametrize(
    ("activation", "first_branch", "tail"),
    [("full_preact", "conv bn relu conv", "bn relu"), ("relu_only_preact", "conv bn relu conv bn", "relu")],
)
def test_preactivation_moves_the_first_activation_to_the_stem_and_adds_one_at_the_end(activation, first_branch, tail):
    net = build(ResNetCifar(depth=8, activation=activation))
    assert words(net.stem) == "conv bn relu"
    assert words(net.stage1[0].branch) == first_branch
    assert words(net.tail) == tail


def test_a_projecting_preactivation_unit_activates_once_for_both_paths():
    spec = ResNetCifar(depth=11, block="bottleneck", shortcut="B", activation="full_preact")
    unit = build(spec).get_submodule("stage2.0")
    assert (words(unit.shared), words(unit.shortcut)) == ("bn relu", "conv")
    assert words(unit.branch) == "conv bn relu conv bn relu conv"


def one_channel_net(activation):
    """Make depth 8, one pixel, one channel, identity batch norms: stem x3, first unit x2 then x-1, fc sum plus 0.5."""
    net = build(ResNetCifar(depth=8, width=1, activation=activation)).eval()
    for name, module in net.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
        elif isinstance(module, nn.Conv2d):
            nn.init.zeros_(module.weight)
            module.weight.data[0, 0, 1, 1] = {"stem.conv": 3, "stage1.0.branch.conv1": 2}.get(name, -1)
    nn.init.ones_(net.fc.weight)
    nn.init.constant_(net.fc.bias, 0.5)
    return net


@pytest.mark.parametrize(
    ("activation", "after_stage1", "after_stage3", "logit"),
    [
        # Stem: 3. First unit: 3 - relu(2 * 3) = -3, kept as it is. Later branches see relu(-3) = 0 and add nothing;
        # the shortcut carries -3 to the end. The last activation makes it 0, so that only fc's bias is left.
        ("full_preact", -3, -3, 0.5),
        ("relu_only_preact", -3, -3, 0.5),
        # As above, but ReLU after each addition: relu(-3) = 0.
        ("original", 0, 0, 0.5),
        ("bn_after_add", 0, 0, 0.5),
        # ReLU before the addition: 3 + relu(-6) = 3. Later branches start with -3, which ReLU makes 0: 3 to the end.
        ("relu_before_add", 3, 3, 3.5),
    ],
)
def test_one_number_goes_through_the_whole_net_as_computed_by_hand(activation, after_stage1, after_stage3, logit):
    net = one_channel_net(activation)
    seen = {}

    def note(module, _, out):
        seen[module] = out.flatten().tolist()

    for stage in (net.stage1, net.stage3):
        stage.register_forward_hook(note)
    assert net(torch.ones(1, 1, 1, 1)).item() == logit
    assert seen[net.stage1] == [after_stage1]
    assert seen[net.stage3] == [after_stage3, 0, 0, 0]


def test_full_preactivation_has_as_many_parameters_as_the_original():
    # With option A every batch norm of the one stands at the same width in the other.
    preact, original = (
        count(ResNetCifar(depth=110, activation=activation), in_channels=3, num_classes=10, image_size=32)
        for activation in ("full_preact", "original")
    )
    assert preact.params == original.params == 1727962


def test_preactivated_projections_lack_only_their_batch_norm():
    preact, original = (
        count(ResNetImageNet(depth=50, activation=activation), in_channels=3, num_classes=1000, image_size=224)
        for activation in ("full_preact", "original")
    )
    assert original.params - preact.params == 2 * (256 + 512 + 1024 + 2048)
    assert preact.macs == original.macs


@pytest.mark.parametrize(("cardinality", "params_m"), [(8, 34.43), (16, 68.16)])
def test_the_small_image_resnext_29_has_its_published_parameters(cardinality, params_m):
    # Xie 2017, Table 7, has 34.4M for 8x64d and 68.1M for 16x64d; public PyTorch ports print a digit more.
    spec = ResNetCifar(
        depth=29, block="bottleneck", shortcut="B", width=64, cardinality=cardinality, group_width=64, stride_in="3x3"
    )
    params = count(spec, in_channels=3, num_classes=10, image_size=32).params
    assert round(params / 1e6, 2) == params_m
