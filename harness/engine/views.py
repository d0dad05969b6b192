"""How often, and at which sizes, a network looks at an image before it answers: the protocols of final evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from workloads.recipes import CROP, CROPPED_FROM, SCALES, Protocol

Answer = Callable[[Tensor], Tensor]
"""Images [N, C, H, W] to softmax scores, float32 [N, classes]."""


@dataclass(frozen=True, kw_only=True)
class View:
    """One pass over all images."""

    shorter_side: int | None
    """Pixels that the shorter side of the whole image is scaled to. None is the data set's own plain view."""
    crop: int | None = None
    """Side of the ten crops that are taken of it; None answers for the whole of it."""
    weight: float = 1.0
    """What it takes of time and memory, a plain view being 1."""

    def scores(self, images: Tensor, answer: Answer) -> Tensor:
        """What a network answers on average, float32 [N, classes]."""
        if self.crop is None:
            return answer(images)
        crops = ten_crops(images, self.crop)
        scores = answer(crops.flatten(0, 1))
        return scores.view(*crops.shape[:2], -1).mean(0)


def views(protocol: Protocol, image_size: int) -> tuple[View, ...]:
    """The passes of a protocol, whose scores are averaged with equal weights.

    Lengths are the papers' where crops are of 224 pixels, and in proportion where a data set's images are smaller.

    * single-crop: the data set's plain view.
    * 10-crop: five crops of an image whose shorter side is 256, and their mirror images, softmax scores averaged
      (Krizhevsky 2012, section 4.1, which He 2015 cites). The corners are the whole image's, as in fb.resnet.torch and
      torchvision; Krizhevsky's were those of its middle, 256x256.
    * multi-scale: whole images at five scales (He 2015, section 3.4). The network averages over all places, and its
      softmax scores are averaged over the scales, as in what the paper cites for it (Simonyan 2014, section 3.2). That
      paper adds mirror images; He 2015 says nothing of them, and there are none here.
    """
    if protocol == "single-crop":
        return (View(shorter_side=None),)
    if protocol == "10-crop":
        return (View(shorter_side=_scaled(CROPPED_FROM, image_size), crop=image_size, weight=10.0),)
    return tuple(View(shorter_side=_scaled(side, image_size), weight=(side / CROP) ** 2) for side in SCALES)


def ten_crops(x_NCHW: Tensor, size: int) -> Tensor:
    """The four corners and the centre of each image, and their mirror images: [10, N, C, size, size]."""
    down, across = (length - size for length in x_NCHW.shape[-2:])
    corners = [(0, 0), (0, across), (down, 0), (down, across), (round(down / 2), round(across / 2))]
    crops = torch.stack([x_NCHW[..., top : top + size, left : left + size] for top, left in corners])
    return torch.cat([crops, crops.flip(-1)])


def _scaled(length: int, image_size: int) -> int:
    return round(length * image_size / CROP)
