"""Noise of any shape."""

import pytest
import torch

from workloads.datasets.synthetic import Synthetic

CPU = torch.device("cpu")


def batches(data, split="train", size=50):
    if split == "test":
        return list(data.evaluation_batches("test", batch_size=size, rank=0, world_size=1))
    return list(
        data.train_batches(seed=0, epoch=0, batch_size=size, rank=0, world_size=1, augmentation="none", first_step=0)
    )


def test_images_have_the_shape_and_number_that_were_asked_for():
    data = Synthetic(channels=2, image_size=7, classes=5, train_images=120, test_images=70).load(CPU)
    assert [tuple(images.shape) for images, _ in batches(data)] == [(50, 2, 7, 7)] * 2
    assert [tuple(images.shape) for images, _ in batches(data, "test")] == [(50, 2, 7, 7), (20, 2, 7, 7)]
    assert torch.cat([labels for _, labels in batches(data, "test")]).bincount().tolist() == [14] * 5


def test_a_set_larger_than_the_pool_shows_its_images_again_and_keeps_its_length(monkeypatch):
    monkeypatch.setattr("workloads.datasets.noise.POOL_BYTES", 85 * 3 * 8 * 8 + 5)
    data = Synthetic(image_size=8, train_images=100, test_images=5).load(CPU)
    assert len(data.train_pixels) == 85
    assert len(batches(data, size=50)) == 2
    first, again = data.pixels("train", torch.tensor([0, 85]))
    assert torch.equal(first, again)


def test_noise_is_uniform_with_mean_zero_and_deviation_one():
    images = Synthetic(train_images=500).load(CPU).train_images
    assert images.mean().item() == pytest.approx(0, abs=0.01)
    assert images.std().item() == pytest.approx(1, abs=0.01)


def test_every_process_makes_the_same_noise():
    spec = Synthetic(train_images=10, test_images=5)
    assert torch.equal(spec.load(CPU).train_pixels, spec.load(CPU).train_pixels)


def test_each_setting_is_part_of_what_the_data_is():
    assert len({Synthetic(**{name: 3}).fingerprint() for name in Synthetic().identity()}) == 5


@pytest.mark.parametrize("name", ["channels", "image_size", "classes", "train_images", "test_images"])
def test_a_setting_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0; it must be at least 1"):
        Synthetic(**{name: 0})
