"""Counts and arithmetic of the ImageNet form against torchvision's nets."""

from __future__ import annotations

import re

import pytest
import torch
import torchvision
from torchvision.models.resnet import Bottleneck

from models import MODELS, ResNetImageNet, model
from models.complexity import count
from models.spec import ModelSpec

# torchvision 0.29.2, torchvision.models.<weights>.meta: num_params and _ops (giga-MACs).
COUNTS = {
    "alexnet": (61100840, 0.714),
    "vgg16": (138357544, 15.47),
    "vgg16_bn": (138365992, 15.47),
    "vgg19": (143667240, 19.632),
    "vgg19_bn": (143678248, 19.632),
    "googlenet": (6624904, 1.498),
    "resnet18": (11689512, 1.814),
    "resnet34": (21797672, 3.664),
    "resnet50": (25557032, 4.089),
    "resnet101": (44549160, 7.801),
    "resnet152": (60192808, 11.514),
    "resnext50_32x4d": (25028904, 4.23),
    "resnext101_32x8d": (88791336, 16.414),
    "resnext101_64x4d": (83455272, 15.46),
    "wide_resnet50_2": (68883240, 11.398),
    "wide_resnet101_2": (126886696, 22.753),
    "densenet121": (7978856, 2.834),
    "densenet161": (28681000, 7.728),
    "densenet169": (14149480, 3.36),
    "densenet201": (20013928, 4.291),
    "efficientnet_b0": (5288548, 0.386),
    "efficientnet_b1": (7794184, 0.687),
    "efficientnet_b2": (9109994, 1.088),
    "efficientnet_b3": (12233232, 1.827),
    "efficientnet_b4": (19341616, 4.394),
    "efficientnet_b5": (30389784, 10.266),
    "efficientnet_b6": (43040704, 19.068),
    "efficientnet_b7": (66347960, 37.746),
    "convnext_tiny": (28589128, 4.456),
    "convnext_small": (50223688, 8.684),
    "convnext_base": (88591464, 15.355),
    "convnext_large": (197767336, 34.361),
    "vit_b_16": (86567656, 17.564),
    "swin_t": (28288354, 4.491),
}

CROPS_PX = {
    "efficientnet_b1": 240,
    "efficientnet_b2": 288,
    "efficientnet_b3": 300,
    "efficientnet_b4": 380,
    "efficientnet_b5": 456,
    "efficientnet_b6": 528,
    "efficientnet_b7": 600,
}
"""Pixels of the evaluation crop; all other networks use 224."""

OURS = {
    "resnet18": ResNetImageNet(depth=18, shortcut="B"),
    "resnet34": ResNetImageNet(depth=34, shortcut="B"),
    "resnet50": ResNetImageNet(depth=50, shortcut="B", stride_in="3x3"),
    "resnet101": ResNetImageNet(depth=101, shortcut="B", stride_in="3x3"),
    "resnet152": ResNetImageNet(depth=152, shortcut="B", stride_in="3x3"),
    "resnext50_32x4d": ResNetImageNet(depth=50, cardinality=32, group_width=4),
    "resnext101_32x8d": ResNetImageNet(depth=101, cardinality=32, group_width=8),
    "resnext101_64x4d": ResNetImageNet(depth=101, cardinality=64, group_width=4),
    "wide_resnet50_2": ResNetImageNet(depth=50, group_width=128),
    "wide_resnet101_2": ResNetImageNet(depth=101, group_width=128),
}

_RENAMES = (
    (r"^conv1\.", "stem.conv."),
    (r"^bn1\.", "stem.bn."),
    (r"^layer(\d)\.(\d+)\.downsample\.0\.", r"stage\1.\2.shortcut.conv."),
    (r"^layer(\d)\.(\d+)\.downsample\.1\.", r"stage\1.\2.shortcut.bn."),
    (r"^layer(\d)\.(\d+)\.", r"stage\1.\2.branch."),
)


def spec_of(name: str) -> ModelSpec:
    """Return our specification of torchvision's net of this name."""
    return OURS[name] if name in OURS else model(name)


def our_name(theirs: str) -> str:
    """Return the name in our net of one of torchvision's ResNet tensors."""
    for pattern, ours in _RENAMES:
        theirs, changed = re.subn(pattern, ours, theirs)
        if changed:
            break
    return theirs


def pair(name: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    """Return torchvision's net and ours, with the same weights and running statistics."""
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name, weights=None)
    ours = spec_of(name).build(in_channels=3, num_classes=1000, image_size=64)
    ours.load_state_dict({our_name(key): value.clone() for key, value in theirs.state_dict().items()})
    return theirs, ours


def imagenet_count(spec, image_size=224):
    return count(spec, in_channels=3, num_classes=1000, image_size=image_size)


@pytest.mark.parametrize("name", COUNTS)
def test_counts_equal_torchvisions(name):
    complexity = imagenet_count(spec_of(name), CROPS_PX.get(name, 224))
    assert (complexity.params, round(complexity.macs / 1e9, 3)) == COUNTS[name]


def test_a_vision_transformer_is_counted_at_another_crop():
    complexity = imagenet_count(model("vit_b_16"), 384)
    assert (complexity.params, round(complexity.macs / 1e9, 3)) == (86859496, 55.484)


@pytest.mark.parametrize("name", COUNTS)
def test_each_net_knows_its_own_crop(name):
    assert spec_of(name).image_size == CROPS_PX.get(name, 224)


@pytest.fixture(
    scope="module", params=["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d"]
)
def twins(request):
    return pair(request.param)


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_same_weights_give_torchvisions_output_and_gradients(twins, training):
    assert_equal_to_the_bit(*twins, training=training)


def test_the_papers_stride_is_torchvisions_net_with_the_stride_moved_to_the_first_1x1():
    theirs, _ = pair("resnet50")
    for block in theirs.modules():
        if isinstance(block, Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    ours = ResNetImageNet(depth=50).build(in_channels=3, num_classes=1000, image_size=64)
    ours.load_state_dict({our_name(key): value for key, value in theirs.state_dict().items()})
    assert_equal_to_the_bit(theirs, ours, training=True)


def assert_equal_to_the_bit(theirs, ours, *, training):
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for net in (theirs, ours):
        net.zero_grad()
    outputs = [net.train(training)(images) for net in (theirs, ours)]
    assert torch.equal(*outputs)
    for output in outputs:
        output.square().sum().backward()
    gradients = {key: parameter.grad for key, parameter in ours.named_parameters()}
    for key, parameter in theirs.named_parameters():
        assert torch.equal(parameter.grad, gradients[our_name(key)]), key
    statistics = ours.state_dict()
    assert all(torch.equal(value, statistics[our_name(key)]) for key, value in theirs.state_dict().items())


@pytest.mark.parametrize("name", ["googlenet", "densenet121", "efficientnet_b0", "swin_t", "zfnet"])
def test_a_comparator_is_built_with_the_classes_asked_for(name):
    net = model(name).build(in_channels=3, num_classes=7, image_size=64).eval()
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("vgg16", {"in_channels": 1}, "model vgg16 takes colour images: 3 channels, not 1"),
        ("alexnet", {"image_size": 32}, "model alexnet needs images of 63 px or more, got 32"),
        ("vit_b_16", {"image_size": 100}, "model vit_b_16 needs an image size that 16 divides, got 100"),
        ("zfnet", {"num_classes": 0}, "num_classes must be at least 1, got 0"),
    ],
)
def test_a_comparator_refuses_images_that_it_cannot_take(name, shape, message):
    with pytest.raises(ValueError, match=message):
        count(model(name), **{"in_channels": 3, "num_classes": 10, "image_size": 224, **shape})


def test_zfnet_has_the_shapes_of_its_papers_figure_3():
    complexity = imagenet_count(model("zfnet"))
    shapes = [layer.output_shape for layer in complexity.layers]
    assert shapes[:2] == [(96, 110, 110), (256, 26, 26)]
    assert shapes[2:5] == [(384, 13, 13), (384, 13, 13), (256, 13, 13)]
    weights = 96 * 3 * 49 + 256 * 96 * 25 + (384 * 256 + 384 * 384 + 256 * 384) * 9 + 9216 * 4096 + 4096 * 5096
    assert complexity.params == weights + 96 + 256 + 384 + 384 + 256 + 4096 + 4096 + 1000


@pytest.mark.parametrize(("depth", "activations_m"), [(18, 2.5), (34, 3.7), (50, 11.1), (101, 16.2), (152, 22.6)])
def test_activations_are_those_of_published_tables(depth, activations_m):
    # Activations of torchvision's ResNets, in millions: timm's benchmark tables and pycls' model zoo, which agree.
    assert round(imagenet_count(spec_of(f"resnet{depth}")).activations / 1e6, 1) == activations_m


def test_every_comparator_is_a_reference_under_its_own_name():
    names = [name for name, kind in MODELS.items() if not kind.axis_names()]
    assert set(names) == {name for name in COUNTS if "resne" not in name} | {"zfnet"}
    assert all((model(name).label, model(name).family) == (name, "reference") for name in names)
