"""A net before its first step: the identity where the paper says so, and a finite signal to the end."""

from __future__ import annotations

import pytest
import torch

from models import ResNetCifar


def outputs_with_the_same_weights(first, second, *, training=False):
    """Return the logits of two nets, the second with all weights of the first that fit it."""
    torch.manual_seed(0)
    nets = [
        ResNetCifar(depth=14, **axes).build(in_channels=3, num_classes=10, image_size=8) for axes in (first, second)
    ]
    state = nets[0].state_dict()
    nets[1].load_state_dict({key: state.get(key, value) for key, value in nets[1].state_dict().items()})
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return [net.train(training)(images) for net in nets]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"shortcut": "plain"}, {"shortcut": "constant", "shortcut_scale": 0, "residual_scale": 1}),
        ({"shortcut": "A"}, {"shortcut": "constant", "shortcut_scale": 1, "residual_scale": 1}),
        ({"shortcut": "A"}, {"shortcut": "shortcut_gate", "gate_bias": -100}),
        ({"shortcut": "C"}, {"shortcut": "conv1x1"}),
        ({"shortcut": "A"}, {"shortcut": "dropout", "dropout_rate": 0}),
    ],
)
def test_an_ablation_at_its_limit_is_the_net_that_it_ablates(first, second, training):
    assert torch.equal(*outputs_with_the_same_weights(first, second, training=training))


def test_dropout_on_the_shortcut_is_the_identity_in_evaluation_and_not_in_training():
    nets = {"shortcut": "A"}, {"shortcut": "dropout", "dropout_rate": 0.5}
    assert torch.equal(*outputs_with_the_same_weights(*nets))
    assert not torch.equal(*outputs_with_the_same_weights(*nets, training=True))


def test_an_exclusive_gate_with_a_very_negative_bias_makes_each_unit_the_identity():
    torch.manual_seed(0)
    spec = ResNetCifar(depth=20, shortcut="exclusive_gate", gate_bias=-100)
    net = spec.build(in_channels=3, num_classes=10, image_size=8)
    activated = net.stem(torch.randn(2, 3, 8, 8))
    assert torch.equal(net.stage1(activated), activated)


def test_a_gate_starts_from_its_bias():
    spec = ResNetCifar(depth=20, shortcut="exclusive_gate", gate_bias=-6)
    net = spec.build(in_channels=3, num_classes=10, image_size=8)
    biases = [value for name, value in net.named_parameters() if name.endswith("gate.bias")]
    assert len(biases) == 9
    assert all((bias == -6).all() for bias in biases)


def test_the_signal_of_preactivation_resnet_1001_neither_vanishes_nor_explodes():
    """Through all 333 units the standard deviation stays between 0.5 and 6.5; over three seeds it was 0.67 to 5.63.

    A branch ends in a 1x1 convolution from c to 4c channels of variance 2/(4c) over rectified unit normals, whose mean
    square is 1/2: it adds a variance of 1/4. So a stage's 111 units reach sqrt(111/4 + 1/2) = 5.3 at any width.
    """
    torch.manual_seed(0)
    spec = ResNetCifar(depth=1001, block="bottleneck", shortcut="B", activation="full_preact")
    net = spec.build(in_channels=3, num_classes=10, image_size=16)
    deviations = []

    def note(_, __, out):
        deviations.append(out.std().item())

    for stage in (net.stage1, net.stage2, net.stage3):
        for unit in stage:
            unit.register_forward_hook(note)
    with torch.no_grad():
        net(torch.randn(8, 3, 16, 16))
    assert len(deviations) == 333
    assert min(deviations) > 0.5
    assert max(deviations) < 6.5
    assert [deviations[i] for i in (110, 221, 332)] == pytest.approx([5.3, 5.3, 5.3], rel=0.15)
