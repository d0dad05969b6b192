"""Transforms of a photograph, compared with PIL, hand computations and the papers' ranges."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.transforms import v2

from workloads.datasets.photos import (
    EIGENVECTORS,
    colour_shift,
    decode,
    evaluation_view,
    finished,
    random_colour_shift,
    seeded,
    training_view,
)


@pytest.fixture(scope="module")
def photograph():
    return Image.fromarray(load_sample_images().images[0])


def encoded(image: Image.Image, form: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


@pytest.fixture
def ramps():
    """Make an image with red growing to the right and green to the bottom, so that a crop shows its scale."""
    image = np.zeros((375, 500, 3))
    image[..., 0] = np.linspace(0, 255, 500)
    image[..., 1] = np.linspace(0, 255, 375)[:, None]
    return torch.from_numpy(image.round().astype(np.uint8)).permute(2, 0, 1)


@pytest.mark.parametrize(("mode", "form"), [("RGB", "JPEG"), ("CMYK", "JPEG"), ("L", "JPEG"), ("RGB", "PNG")])
def test_every_kind_of_file_that_imagenet_holds_becomes_red_green_and_blue(photograph, mode, form):
    content = encoded(photograph.convert(mode), form)
    expected = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    assert np.array_equal(decode(content).permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("cut", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_not_decoded(photograph, cut):
    content = encoded(photograph, "JPEG")
    with pytest.raises((OSError, ValueError), match=r"truncated|Truncated|not an image of any known format"):
        decode(content[: int(cut * len(content))])


def test_evaluation_takes_the_middle_as_pil_does_within_rounding(photograph):
    found = evaluation_view(224)(decode(encoded(photograph, "JPEG")))
    image = Image.open(io.BytesIO(encoded(photograph, "JPEG")))
    scaled = image.resize((256 * 640 // 427, 256), Image.Resampling.BILINEAR)
    left, top = round((scaled.width - 224) / 2), round((scaled.height - 224) / 2)
    expected = np.asarray(scaled.crop((left, top, left + 224, top + 224)))
    difference = np.abs(found.permute(1, 2, 0).numpy().astype(int) - expected)
    assert found.shape == (3, 224, 224)
    assert difference.max() <= 1
    assert difference.mean() < 0.1


def test_scale_jitter_scales_the_shorter_side_to_all_lengths_from_256_to_480(ramps):
    view = training_view("scale-jitter", 224)
    with seeded(0):
        crops = [view(ramps).double() for _ in range(300)]
    # 224 of s rows of a ramp over 255 levels span 224 / s of them.
    sides = [(224 - 1) * 255 / (crop[1].max() - crop[1].min()).item() for crop in crops]
    assert 250 < min(sides) < 262
    assert 468 < max(sides) < 490
    assert np.mean(sides) == pytest.approx(368, abs=15)
    assert 0.4 < np.mean([bool(crop[0, 0, 0] > crop[0, 0, -1]) for crop in crops]) < 0.6  # mirrored


def test_random_resized_crop_shows_8_to_100_percent_of_the_area(ramps):
    view = training_view("random-resized-crop", 224)
    with seeded(0):
        crops = [view(ramps).double() for _ in range(300)]
    shares = [np.prod([(crop[c].max() - crop[c].min()).item() / 255 for c in (0, 1)]) for crop in crops]
    assert 0.06 < min(shares) < 0.12
    assert 0.9 < max(shares) <= 1
    rng = np.random.default_rng(0)
    assert np.mean(shares) == pytest.approx(np.mean([share_of_area(rng) for _ in range(3000)]), abs=0.04)


def share_of_area(rng) -> float:
    """Draw a crop of a 500x375 photograph and return its share of the area.

    Area and aspect are drawn until the crop fits (Szegedy et al. 2015, section 6).
    """
    while True:
        area, aspect = rng.uniform(0.08, 1), np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        if area * 500 * 375 * aspect <= 500**2 and area * 500 * 375 / aspect <= 375**2:
            return area


def test_crops_of_another_size_are_taken_from_images_scaled_in_proportion(ramps):
    crop = evaluation_view(32)(ramps).double()  # of 37 rows
    assert (crop[1].max() - crop[1].min()).item() == pytest.approx(255 * 31 / 37, abs=2)


def test_an_unknown_augmentation_is_refused_with_those_that_there_are():
    with pytest.raises(
        ValueError, match="'crop-flip'; photographs take 'none', 'scale-jitter' and 'random-resized-crop'"
    ):
        training_view("crop-flip", 224)


def test_a_colour_shift_equals_a_hand_computation():
    # Weights 0.1, -0.2, 0.3 times eigenvalues 0.2175, 0.0188, 0.0045: 0.02175, -0.00376, 0.00135.
    red = -0.5675 * 0.02175 + 0.7192 * -0.00376 + 0.4009 * 0.00135
    green = -0.5808 * 0.02175 + -0.0045 * -0.00376 + -0.8140 * 0.00135
    blue = -0.5836 * 0.02175 + -0.6948 * -0.00376 + 0.4203 * 0.00135
    expected = [-0.014506102, -0.01371438, -0.009513447]
    assert [red, green, blue] == pytest.approx(expected, abs=1e-9)
    assert colour_shift(torch.tensor([0.1, -0.2, 0.3])).tolist() == pytest.approx(expected, abs=1e-8)


def test_the_principal_components_are_orthonormal():
    assert torch.allclose(EIGENVECTORS.T @ EIGENVECTORS, torch.eye(3), atol=1e-3)


def test_random_colours_have_the_deviation_of_the_paper():
    with seeded(1):
        shifts = torch.stack([random_colour_shift("scale-jitter") for _ in range(4000)])
    along = shifts @ EIGENVECTORS  # 0.1 times each eigenvalue
    assert along.std(0).tolist() == pytest.approx([0.02175, 0.00188, 0.00045], rel=0.05)
    assert torch.equal(random_colour_shift("random-resized-crop"), torch.zeros(3))


def test_finished_images_equal_torchvisions_own_steps_one_by_one():
    pixels = torch.randint(0, 256, (4, 3, 9, 9), dtype=torch.uint8)
    shifts = torch.randn(4, 3) / 50
    slow = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    expected = torch.stack(
        [slow(image.float() / 255 + shift[:, None, None]) for image, shift in zip(pixels, shifts, strict=True)]
    )
    assert torch.allclose(finished(pixels, shifts), expected, atol=1e-5)


def test_seeding_an_image_leaves_the_generator_that_networks_draw_from_as_it_was():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with seeded(1):
        torch.rand(100)
    assert torch.equal(torch.rand(3), expected)
