"""Several views of an image, compared with torchvision's functions on Pillow's pixels, one image at a time."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.transforms.v2 import functional

from harness.engine import TrialContext, run_trial
from harness.engine.evaluate import Evaluator
from harness.engine.views import ten_crops, views
from harness.events import EpochEnded
from harness.trial import Scale, Trial
from models import MODELS
from workloads.datasets.imagenet import ImageNet
from workloads.recipes import Recipe

CPU = torch.device("cpu")
SIZE, CROPPED_FROM = 28, 32
"""Pixels of the crop and of the image before it: an eighth of 224 and 256."""
SCALES = (28, 32, 48, 60, 80)
"""Pixels of the scales: an eighth of 224, 256, 384, 480 and 640."""


@pytest.fixture
def photos(photo_tree):
    """Load 40 training and 20 validation images of many shapes."""
    return ImageNet(root=str(photo_tree), subset="photos", image_size=SIZE, decoders=0)


@pytest.fixture
def network():
    """Return a network whose answers differ from image to image, with the running statistics of some noise."""
    torch.manual_seed(1)
    net = MODELS["resnet_cifar"](depth=8, shortcut="A", width=8).build(in_channels=3, num_classes=12, image_size=SIZE)
    nn.init.normal_(net.fc.weight, std=0.5)
    with torch.no_grad():
        net(torch.randn(16, 3, SIZE, SIZE))
    return net.eval()


def evaluator(data, *, rank=0, world_size=1, batch_size=16):
    return Evaluator(
        data=data,
        classes=12,
        batch_size=batch_size,
        rank=rank,
        world_size=world_size,
        precision=torch.autocast("cpu", enabled=False),
    )


def whole_image(file: Path, shorter_side: int) -> torch.Tensor:
    pixels = functional.pil_to_tensor(Image.open(file))
    pixels = functional.resize(pixels, [shorter_side])
    return functional.normalize(pixels / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def slow_ten_crops(net, file):
    crops = functional.five_crop(whole_image(file, CROPPED_FROM), [SIZE])
    answers = [net(view[None])[0] for crop in crops for view in (crop, functional.horizontal_flip(crop))]
    return np.mean([probabilities(logits) for logits in answers], axis=0)


def slow_multi_scale(net, file):
    return np.mean([probabilities(net(whole_image(file, side)[None])[0]) for side in SCALES], axis=0)


def probabilities(logits):
    powers = np.exp(logits.double().numpy())
    return powers / powers.sum()


SLOW = {"10-crop": slow_ten_crops, "multi-scale": slow_multi_scale}


@pytest.mark.parametrize("protocol", SLOW)
def test_averaged_scores_equal_those_of_one_image_and_one_view_at_a_time(photos, photo_tree, network, protocol):
    files = sorted((photo_tree / "val").rglob("*.JPEG"))
    labels = [i // 5 for i in range(20)]
    with torch.no_grad():
        expected = np.array([SLOW[protocol](network, file) for file in files])
    answers = expected.argsort(axis=1)[:, ::-1]
    assert len(set(answers[:, 0])) > 1  # or equal counts would say little

    found, their_labels = evaluator(photos.load(CPU)).scores(views(protocol, SIZE), network, "test")
    assert their_labels.tolist() == labels
    assert np.abs(found.numpy() - expected).max() < 1e-5
    evaluation = evaluator(photos.load(CPU)).through(views(protocol, SIZE), network, "test")
    assert evaluation.images == 20
    assert evaluation.errors == sum(best != label for best, label in zip(answers[:, 0], labels, strict=True))
    assert evaluation.errors_top5 == sum(label not in best for best, label in zip(answers[:, :5], labels, strict=True))
    assert evaluation.loss == pytest.approx(-np.log(expected[range(20), labels]).mean(), rel=1e-5)


@pytest.mark.parametrize("protocol", SLOW)
@pytest.mark.parametrize("world_size", [2, 21])
def test_workers_share_the_images_without_leaving_one_out_or_counting_one_twice(
    photos, network, protocol, world_size, monkeypatch
):
    monkeypatch.setattr("harness.engine.evaluate.share_buffers", lambda module, world_size: None)  # all in one process
    data = photos.load(CPU)
    alone, labels = evaluator(data).scores(views(protocol, SIZE), network, "test")
    shares = [
        evaluator(data, rank=rank, world_size=world_size, batch_size=5).scores(views(protocol, SIZE), network, "test")
        for rank in range(world_size)
    ]
    assert torch.equal(torch.cat([part for _, part in shares]), labels)
    torch.testing.assert_close(torch.cat([part for part, _ in shares]), alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(9, 12), (8, 8), (11, 8)])
def test_ten_crops_are_torchvisions_five_and_their_mirror_images(shape):
    images = torch.randn(3, 2, *shape)
    expected = functional.five_crop(images, [8])
    assert torch.equal(ten_crops(images, 8), torch.stack([*expected, *map(functional.horizontal_flip, expected)]))


def test_a_view_never_takes_more_pixels_at_once_than_training_does_unless_one_image_does(photos, network, monkeypatch):
    seen = []
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda x: seen.append(len(x) * x.shape[-1] * x.shape[-2]) or forward(x))
    evaluator(photos.load(CPU), batch_size=32).through(views("10-crop", SIZE), network, "test")
    assert max(seen) <= 32 * SIZE**2
    seen.clear()
    evaluator(photos.load(CPU), batch_size=1).through(views("multi-scale", SIZE), network, "test")
    assert max(seen) <= 80 * 80 * 2  # one photograph, whose longer side is less than twice the shorter


def trained(photos, folder, evaluation):
    events = []
    trial = Trial(
        model=MODELS["resnet_cifar"](depth=8, shortcut="A", width=8),
        dataset=photos,
        recipe=Recipe(epochs=1, batch_size=10, lr=0.05, evaluation=evaluation),
        scale=Scale(device="cpu"),
        seed=0,
        fingerprint=photos.fingerprint(),
        label="photos",
    )
    ended = run_trial(trial, TrialContext(folder, 1, 0, 1, CPU, events.append, lambda: False))
    [epoch] = [event.values for event in events if isinstance(event, EpochEnded)]
    return epoch, ended.results


def test_a_trials_final_test_error_follows_its_recipe_and_its_epochs_are_single_crops(photos, tmp_path):
    (single, single_end), (crops, crops_end) = (
        trained(photos, tmp_path / evaluation, evaluation) for evaluation in ("single-crop", "10-crop")
    )
    timeless = {"test/loss", "test/error_pct", "train/loss"}
    assert {key: single[key] for key in timeless} == {key: crops[key] for key in timeless}
    assert single_end["final/test_loss"] == single["test/loss"]
    assert crops_end["final/test_loss"] != pytest.approx(single["test/loss"], rel=1e-4)
    assert crops_end["final/train_loss"] == single_end["final/train_loss"]
    assert crops_end["final/test_images"] == 20
