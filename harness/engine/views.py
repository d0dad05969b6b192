"""Protocols of final evaluation: the number and the sizes of the views of an image that a network scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from workloads.recipes import CROP, CROPPED_FROM, SCALES, Protocol

Scorer = Callable[[Tensor], Tensor]
"""Function from images [N, C, H, W] to softmax scores, float32 [N, classes]."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One pass over all images."""

    shorter_side: int | None
    """Pixels of the shorter side after the whole image is scaled; None for the data set's own plain view."""
    crop: int | None = None
    """Side in pixels of the ten crops of the scaled image; None to score the whole of it."""
    weight: float = 1.0
    """Time and memory that the view takes, relative to a plain view."""

    def scores(self, images: Tensor, scorer: Scorer) -> Tensor:
        """Return the network's mean softmax scores, float32 [N, classes]."""
        if self.crop is None:
            return scorer(images)
        crops = ten_crops(images, self.crop)
        scores = scorer(crops.flatten(0, 1))
        return scores.view(*crops.shape[:2], -1).mean(0)


PLAIN = View(shorter_side=None)
"""The data set's own view."""


def views(protocol: Protocol, image_size: int) -> tuple[View, ...]:
    """Return the passes of a protocol, whose scores are averaged with equal weights.

    Lengths are those of the papers for crops of 224 pixels, and proportional for data sets with smaller images.

    * single-crop: the data set's plain view.
    * 10-crop: five crops of an image whose shorter side is 256, and their mirror images, softmax scores averaged
      (Krizhevsky 2012, section 4.1, which He 2015 cites). The corners are those of the whole image, as in
      fb.resnet.torch and torchvision; Krizhevsky used the corners of its middle, 256x256.
    * multi-scale: whole images at five scales (He 2015, section 3.4). The network averages over all positions, and its
      softmax scores are averaged over the scales, as in the paper that He 2015 cites (Simonyan 2014, section 3.2). That
      paper adds mirror images. He 2015 does not mention them, so they are not used here.
    """
    if protocol == "single-crop":
        return (PLAIN,)
    if protocol == "10-crop":
        return (View(shorter_side=_scaled(CROPPED_FROM, image_size), crop=image_size, weight=10.0),)
    return tuple(View(shorter_side=_scaled(side, image_size), weight=(side / CROP) ** 2) for side in SCALES)


def ten_crops(x_NCHW: Tensor, size: int) -> Tensor:
    """Return the four corners and the centre of each image, and their mirror images: [10, N, C, size, size]."""
    down, across = (length - size for length in x_NCHW.shape[-2:])
    corners = [(0, 0), (0, across), (down, 0), (down, across), (round(down / 2), round(across / 2))]
    crops = torch.stack([x_NCHW[..., top : top + size, left : left + size] for top, left in corners])
    return torch.cat([crops, crops.flip(-1)])


def _scaled(length: int, image_size: int) -> int:
    return round(length * image_size / CROP)
