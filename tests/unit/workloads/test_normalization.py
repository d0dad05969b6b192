"""Normalization beside numpy's own mean and deviation."""

import numpy as np
import pytest
import torch

from workloads.datasets.normalization import normalization


@pytest.fixture
def pixels():
    rng = np.random.default_rng(3)
    return rng.integers(0, [[[40]], [[200]], [[256]]], (2345, 3, 5, 4), dtype=np.uint8)


def test_every_channel_gets_mean_zero_and_deviation_one(pixels):
    images = normalization(pixels, "channel")(torch.from_numpy(pixels)).double()
    assert torch.allclose(images.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-6)
    assert torch.allclose(images.std((0, 2, 3), correction=0), torch.ones(3).double(), atol=1e-6)


def test_channel_statistics_are_those_of_numpy(pixels):
    found = normalization(pixels, "channel")
    assert np.allclose(found.mean.numpy(), pixels.mean(axis=(0, 2, 3), keepdims=True), rtol=1e-14)
    assert np.allclose(found.deviation.numpy(), pixels.std(axis=(0, 2, 3), keepdims=True), rtol=1e-13)


def test_pixel_mean_subtracts_the_mean_image_and_divides_by_one_deviation(pixels):
    images = normalization(pixels, "pixel-mean")(torch.from_numpy(pixels)).numpy()
    centred = pixels - pixels.mean(axis=0)
    assert np.allclose(images, centred / centred.std(), atol=1e-6)


@pytest.mark.parametrize("kind", ["channel", "pixel-mean"])
def test_images_that_are_all_alike_become_zero_and_not_infinite(kind):
    grey = np.full((4, 1, 3, 3), 7, dtype=np.uint8)
    assert torch.equal(normalization(grey, kind)(torch.from_numpy(grey)), torch.zeros(4, 1, 3, 3))
