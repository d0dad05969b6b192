"""From a photograph's file to the network's input: decoding, crops, colours. Runs in the processes that decode.

Transforms are torchvision's (v2), on uint8 tensors: its scaling of these is several times as fast as that of PIL's
images, with differences by rounding alone. They draw from torch's generator, seeded anew for every image.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms import v2

Transform = Callable[[Tensor], Tensor]
"""Function from a photograph, uint8 [3, H, W], to a crop of it, uint8 [3, S, S]."""

SCALES = range(256, 481)
"""Lengths of the shorter side in training (He et al. 2015, section 3.4), for crops of 224 pixels."""

EVALUATION_SCALE = 256
CROP = 224

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Deviation of ImageNet's red, green and blue, from 0 to 1, as in fb.resnet.torch and torchvision. The paper
subtracts a mean for each pixel and prints no deviation."""

GREY = tuple(round(255 * mean) for mean in MEAN)
"""The mean colour, which becomes zero in the network's input."""

COLOUR_DEVIATION = 0.1
"""Deviation of the random weights of the three principal components (Krizhevsky et al. 2012, section 4.1)."""

EIGENVALUES = torch.tensor([0.2175, 0.0188, 0.0045])
EIGENVECTORS = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
"""Principal components of ImageNet's colours, one in each column, with their eigenvalues as in fb.resnet.torch."""


def decode(content: bytes) -> Tensor:
    """Decode a JPEG file, or one of the few that have a JPEG's name but another format: uint8 [3, H, W].

    Raises:
        OSError, ValueError: it cannot be decoded.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            coloured = image if image.mode == "RGB" else image.convert("RGB")
            pixels: Tensor = v2.functional.pil_to_tensor(coloured)
    except UnidentifiedImageError as error:
        raise ValueError("not an image of any known format") from error
    except (SyntaxError, Image.DecompressionBombError) as error:  # a broken PNG; an implausible size
        raise ValueError(str(error)) from error
    return pixels


def training_view(augmentation: str, size: int) -> Transform:
    """Return the crop of a photograph in training.

    Raises:
        ValueError: an augmentation that photographs do not have.
    """
    if augmentation == "none":
        return evaluation_view(size)
    if augmentation == "scale-jitter":
        crop = [v2.RandomShortestSize([_scaled(scale, size) for scale in SCALES]), v2.RandomCrop(size)]
    elif augmentation == "random-resized-crop":
        crop = [v2.RandomResizedCrop(size)]
    else:
        raise ValueError(
            f"augmentation is {augmentation!r}; photographs take 'none', 'scale-jitter' and 'random-resized-crop'"
        )
    return _in_turn(*crop, v2.RandomHorizontalFlip())


def evaluation_view(size: int) -> Transform:
    """Return a centre crop: 224 pixels of a shorter side scaled to 256; other sizes in proportion."""
    return _in_turn(v2.Resize(_scaled(EVALUATION_SCALE, size)), v2.CenterCrop(size))


def whole_view(scale: int) -> Transform:
    """Return a view of the whole photograph, its shorter side scaled to this many pixels."""
    return _in_turn(v2.Resize(scale))


def grey(size: int) -> Tensor:
    """Return the grey image that replaces one that cannot be decoded."""
    return torch.tensor(GREY, dtype=torch.uint8)[:, None, None].expand(3, size, size)


def _in_turn(*steps: Transform) -> Transform:
    composed: Transform = v2.Compose(steps)
    return composed


def _scaled(length: int, size: int) -> int:
    return round(length * size / CROP)


def colour_shift(weights: Tensor) -> Tensor:
    """Return the change of every pixel's colour, from 0 to 1, for three weights: [3]."""
    return EIGENVECTORS @ (weights * EIGENVALUES)


def random_colour_shift(augmentation: str) -> Tensor:
    """Return the colour change of an augmentation: PCA colour for the paper's, none for others."""
    if augmentation != "scale-jitter":
        return torch.zeros(3)
    return colour_shift(COLOUR_DEVIATION * torch.randn(3))


def finished(pixels_NCHW: Tensor, shifts: Tensor) -> Tensor:
    """Return crops as the network's input: float32, colours shifted, then normalized by ImageNet's mean and deviation.

    Args:
        pixels_NCHW: uint8.
        shifts: [N, 3], see `colour_shift`.
    """
    mean, deviation = (torch.tensor(values, device=shifts.device) for values in (MEAN, DEVIATION))
    scale, offset = 1 / (255 * deviation), (shifts - mean) / deviation
    return pixels_NCHW * scale[:, None, None] + offset[:, :, None, None]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's generator on the host inside the block, and restore its state afterwards."""
    state = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(state)
