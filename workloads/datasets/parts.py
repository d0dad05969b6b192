"""Parts of a data set as files contain them: pixels and labels; and how a part is held out of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""Pixels of images, [N, C, H, W]."""

Labels = NDArray[np.int64]
"""Labels of images, [N]."""

Part = tuple[Pixels, Labels]

VALIDATION_EVERY = 10
"""Distance of held-out images within each class, in the files' order, for choosing settings: 5k of 50k."""


def held_out(part: Part) -> tuple[Part, Part]:
    """Split a training part into the rest and the held-out images, without random numbers."""
    pixels, labels = part
    out = every_nth(labels, VALIDATION_EVERY)
    return (pixels[~out], labels[~out]), (pixels[out], labels[out])


def every_nth(labels: Labels, n: int) -> NDArray[np.bool_]:
    """Return a mask of the n-th, 2n-th, ... image of each class."""
    mask = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        mask[np.flatnonzero(labels == label)[n - 1 :: n]] = True
    return mask
