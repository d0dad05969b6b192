"""Properties of every network in the option space, and the options outside of it."""

from __future__ import annotations

import copy
import io
import itertools
import pickle
import re

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from models import MODELS, ResNetCifar, ResNetImageNet, model
from models.complexity import count, measure

LAYERS_PER_N = {"single": 3, "basic": 6, "bottleneck": 9}
ORDERS = ["original", "bn_after_add", "relu_before_add", "relu_only_preact", "full_preact"]
ABLATIONS = [
    {"shortcut": "constant", "shortcut_scale": 0.5, "residual_scale": 0.5},
    {"shortcut": "exclusive_gate", "gate_bias": -6},
    {"shortcut": "shortcut_gate", "gate_bias": 0},
    {"shortcut": "dropout", "dropout_rate": 0.5},
]


@st.composite
def shortcuts(draw):
    """Draw a shortcut with the options that go with it: A, B, C, conv1x1 in every order, ablations and plain in one."""
    kind = draw(st.sampled_from(["plain", "A", "B", "C", "conv1x1", "ablation"]))
    if kind == "plain":
        return {"shortcut": "plain"}
    if kind == "ablation":
        return draw(st.sampled_from(ABLATIONS))
    order = draw(st.sampled_from(ORDERS))
    se = draw(st.sampled_from([0, 2])) if order in ("original", "full_preact") else 0
    return {"shortcut": kind, "activation": order, "se": se}


@st.composite
def groups(draw, bottleneck, shortcut):
    """Draw the width, and for bottlenecks the place of the stride and the groups."""
    axes = {"width": draw(st.sampled_from([2, 4]))}
    if bottleneck:
        axes["stride_in"] = draw(st.sampled_from(["1x1", "3x3"]))
        axes["group_width"] = draw(st.sampled_from([None, 1, 3]))
        if axes["group_width"] and "activation" in shortcut:
            axes["cardinality"] = draw(st.sampled_from([1, 2]))
    return axes


@st.composite
def cifar_specs(draw):
    shortcut = draw(shortcuts())
    block = draw(st.sampled_from(list(LAYERS_PER_N)))
    depth = LAYERS_PER_N[block] * draw(st.integers(1, 3)) + 2
    return ResNetCifar(depth=depth, block=block, **shortcut, **draw(groups(block == "bottleneck", shortcut)))


@st.composite
def imagenet_specs(draw):
    shortcut = draw(shortcuts())
    depth = draw(st.sampled_from([18, 34, 50]))
    return ResNetImageNet(depth=depth, **shortcut, **draw(groups(depth == 50, shortcut)))


def depth_of(net):
    """Return the number of layers: the convolutions on the main path, and the classifier."""
    layers = [name for name, module in net.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return sum(re.search(r"^stem\.|\.branch\.conv\d$|^fc$", name) is not None for name in layers)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(cifar_specs(), imagenet_specs()), st.integers(1, 3), st.integers(1, 4), st.integers(1, 9))
def test_every_network_is_what_its_specification_says(spec, in_channels, num_classes, image_size):
    torch.manual_seed(0)
    net = spec.build(in_channels=in_channels, num_classes=num_classes, image_size=image_size).eval()
    images = torch.randn(2, in_channels, image_size, image_size)
    logits = net(images)
    assert logits.shape == (2, num_classes)
    assert depth_of(net) == spec.depth == int(re.search(r"\d+", spec.label)[0])
    assert torch.equal(copy.deepcopy(net)(images), logits)

    complexity = count(spec, in_channels=in_channels, num_classes=num_classes, image_size=image_size)
    assert complexity.layers == tuple(measure(net, images[:1])), "the meta device gives what a real run gives"
    assert complexity.params == sum(parameter.numel() for parameter in net.parameters())

    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    buffer.seek(0)
    again = spec.build(in_channels=in_channels, num_classes=num_classes, image_size=image_size).eval()
    again.load_state_dict(torch.load(buffer, weights_only=True))
    assert torch.equal(again(images), logits)


@settings(deadline=None)
@given(st.one_of(cifar_specs(), imagenet_specs()))
def test_a_specification_is_given_back_by_its_axes_and_by_pickling(spec):
    assert model(spec.name, **spec.axes) == spec
    assert pickle.loads(pickle.dumps(spec)) == spec


def every_valid(kind, depths, **lists):
    """Yield all combinations of a grid that are not refused, equal ones once."""
    for values in itertools.product(depths, *lists.values()):
        try:
            yield kind(**dict(zip(["depth", *lists], values, strict=True)))
        except ValueError:
            continue


@pytest.mark.parametrize(
    ("kind", "depths", "more"),
    [(ResNetCifar, [20, 110], {"block": list(LAYERS_PER_N)}), (ResNetImageNet, [18, 50], {})],
    ids=["cifar", "imagenet"],
)
def test_no_two_networks_share_a_label(kind, depths, more):
    specs = set(
        every_valid(
            kind,
            depths,
            shortcut=["plain", "A", "B", "C", "conv1x1", "shortcut_gate"],
            gate_bias=[None, -6, 0],
            activation=ORDERS,
            width=[16, 64],
            cardinality=[1, 4],
            group_width=[None, 4, 16],
            se=[0, 16],
            stride_in=[None, "1x1", "3x3"],
            **more,
        )
    )
    assert len(specs) > 200
    assert len({spec.label for spec in specs}) == len(specs)


@pytest.mark.parametrize(
    "spec",
    [
        ResNetCifar(depth=8),
        ResNetCifar(depth=8, shortcut="exclusive_gate", gate_bias=-6),
        ResNetCifar(depth=11, block="bottleneck", shortcut="B", activation="full_preact", se=4),
        ResNetCifar(depth=8, shortcut="C", activation="relu_only_preact"),
    ],
    ids=lambda spec: spec.label,
)
def test_a_network_is_captured_as_one_graph_and_trains_alike(spec):
    torch.manual_seed(0)
    net = spec.build(in_channels=3, num_classes=4, image_size=16)
    twin = copy.deepcopy(net)
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    images = torch.randn(4, 3, 16, 16)
    for run in (net, compiled):
        run(images).square().sum().backward()
    for parameter, other in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad)


@pytest.mark.parametrize("name", MODELS)
def test_every_specification_survives_pickling(name):
    spec = model(name, **dict.fromkeys(MODELS[name].required_axes(), 50))
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert hash(pickle.loads(pickle.dumps(spec))) == hash(spec)


def test_a_setting_has_one_spelling():
    specs = {
        ResNetCifar(depth=110, shortcut="constant", shortcut_scale=scale, residual_scale=1) for scale in (0, 0.0, -0.0)
    }
    assert len(specs) == 1
    assert repr(specs.pop().shortcut_scale) == "0.0"
    assert ResNetImageNet(depth=50, group_width=64) == ResNetImageNet(depth=50)
    assert ResNetImageNet(depth=50, stride_in="1x1") == ResNetImageNet(depth=50)


REFUSED = [
    (
        ResNetCifar,
        {"depth": 1001},
        "depth 1001 is not 6n+2; nearest: 998, 1004; block single or bottleneck can have 1001",
    ),
    (ResNetCifar, {"depth": 2}, "depth 2 is not 6n+2; nearest: 8"),
    (ResNetCifar, {"depth": 165, "block": "bottleneck"}, "depth 165 is not 9n+2; nearest: 164, 173"),
    (ResNetCifar, {"depth": True}, "depth must be a whole number, got True"),
    (ResNetCifar, {"depth": 20, "block": "botleneck"}, "block 'botleneck' is not known, did you mean 'bottleneck'?"),
    (ResNetCifar, {"depth": 20, "shortcut": "gate"}, "allowed: plain, A, B, C, conv1x1, constant, exclusive_gate"),
    (ResNetCifar, {"depth": 20, "activation": "preact"}, "did you mean 'full_preact'?"),
    (ResNetImageNet, {"depth": 51}, "depth 51 is not in the stage table; nearest: 50, 101"),
    (ResNetImageNet, {"depth": 1000}, "nearest: 200; allowed: 18, 34, 50, 101, 152, 200"),
    (ResNetImageNet, {"depth": 18, "stride_in": "1x1"}, "stride_in 1x1 needs a bottleneck"),
    (ResNetImageNet, {"depth": 34, "cardinality": 32}, "cardinality needs a bottleneck, and depth 34 has basic units"),
    (ResNetImageNet, {"depth": 18, "group_width": 128}, "group_width needs a bottleneck"),
    (ResNetImageNet, {"depth": 50, "cardinality": 32}, "group_width is missing: cardinality 32 needs one"),
    (ResNetCifar, {"depth": 20, "shortcut": "plain", "se": 16}, "se 16 excludes shortcut plain: it is defined around"),
    (ResNetCifar, {"depth": 20, "shortcut": "plain", "activation": "full_preact"}, "activation full_preact excludes"),
    (ResNetCifar, {"depth": 20, "se": 16, "activation": "bn_after_add"}, "se 16 excludes activation bn_after_add"),
    (ResNetCifar, {"depth": 20, "se": 17}, "se 17 is more than the 16 channels that it would divide"),
    (ResNetCifar, {"depth": 20, "shortcut": "constant", "shortcut_scale": 1}, "residual_scale is missing"),
    (
        ResNetCifar,
        {"depth": 20, "gate_bias": -6},
        "gate_bias is for shortcut exclusive_gate or shortcut_gate; shortcut A",
    ),
    (ResNetCifar, {"depth": 20, "shortcut": "shortcut_gate"}, "gate_bias is missing: shortcut shortcut_gate needs"),
    (
        ResNetCifar,
        {"depth": 20, "shortcut": "dropout", "dropout_rate": 1},
        "dropout_rate must be at least 0 and below 1",
    ),
    (ResNetCifar, {"depth": 20, "shortcut": "shortcut_gate", "gate_bias": float("nan")}, "gate_bias must be a finite"),
    (
        ResNetCifar,
        {"depth": 20, "shortcut": "exclusive_gate", "gate_bias": -6, "activation": "full_preact"},
        "activation full_preact excludes shortcut exclusive_gate: He 2016, Table 1, defines it on the original unit",
    ),
]


@pytest.mark.parametrize(("kind", "axes", "message"), REFUSED, ids=[message[:40] for _, _, message in REFUSED])
def test_what_means_nothing_is_refused_with_the_reason(kind, axes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        kind(**axes)


@pytest.mark.parametrize(
    ("name", "axes", "message"),
    [
        ("resnet_cifra", {"depth": 20}, "model 'resnet_cifra' is not known, did you mean 'resnet_cifar'?"),
        ("resnet_cifar", {"deep": 20}, "model resnet_cifar has no axis 'deep', did you mean 'depth'?"),
        ("resnet_cifar", {}, "model resnet_cifar needs depth"),
        ("vgg16", {"depth": 16}, "model vgg16 has no axis 'depth'; allowed: none"),
    ],
)
def test_an_unknown_model_or_axis_names_the_nearest(name, axes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        model(name, **axes)


@pytest.mark.parametrize(
    ("spec", "label", "family"),
    [
        (ResNetCifar(depth=20, shortcut="plain"), "plain-20", "plain"),
        (ResNetCifar(depth=20), "resnet-20-A", "residual"),
        (ResNetCifar(depth=110, activation="full_preact"), "preresnet-110-A", "preact"),
        (ResNetCifar(depth=110, activation="relu_only_preact"), "resnet-110-A-relu_only_preact", "preact"),
        (ResNetCifar(depth=164, block="bottleneck", shortcut="B"), "resnet-164-B-bottleneck", "residual"),
        (ResNetCifar(depth=110, shortcut="exclusive_gate", gate_bias=-6), "resnet-110-exclusive_gate-b-6", "residual"),
        (ResNetImageNet(depth=34, shortcut="plain"), "plain-34", "plain"),
        (ResNetImageNet(depth=50, stride_in="3x3"), "resnet-50-B-stride3x3", "residual"),
        (ResNetImageNet(depth=50, cardinality=32, group_width=4), "resnet-50-B-32x4d", "residual"),
        (model("vgg16_bn"), "vgg16_bn", "reference"),
    ],
)
def test_a_label_says_what_a_network_is(spec, label, family):
    assert (spec.label, spec.family) == (label, family)


@pytest.mark.parametrize(
    ("spec", "source"),
    [
        (ResNetCifar(depth=56), "He 2015 (arXiv 1512.03385), section 4.2"),
        (ResNetCifar(depth=110, shortcut="conv1x1"), "He 2016 (arXiv 1603.05027), Table 1"),
        (ResNetCifar(depth=110, activation="bn_after_add"), "He 2016 (arXiv 1603.05027), Table 2"),
        (ResNetImageNet(depth=200, activation="full_preact"), "He 2016 (arXiv 1603.05027), Table 5"),
        (ResNetImageNet(depth=50, se=16), "Hu 2018 (arXiv 1709.01507), Table 2"),
        (ResNetImageNet(depth=50, cardinality=32, group_width=4), "Xie 2017 (arXiv 1611.05431)"),
        (ResNetImageNet(depth=50, group_width=128), "Zagoruyko 2016 (arXiv 1605.07146), Table 8"),
        (ResNetCifar(depth=56, width=32), None),
        (ResNetImageNet(depth=50, shortcut="A"), None),
        (ResNetImageNet(depth=50, cardinality=32, group_width=4, stride_in="1x1"), None),
        (ResNetCifar(depth=164, block="bottleneck", shortcut="plain"), None),
    ],
)
def test_what_no_paper_defines_has_no_source(spec, source):
    assert spec.source == source
