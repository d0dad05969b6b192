"""Parts of a data set as files hold them: pixels and labels; and how a part is held out of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""[N, C, H, W]."""

Labels = NDArray[np.int64]
"""[N]."""

Part = tuple[Pixels, Labels]

VALIDATION_EVERY = 10
"""Within each class, in the files' order, every tenth image is held out where settings are chosen: 5k of 50k."""


def held_out(part: Part) -> tuple[Part, Part]:
    """A training part without what is held out of it, and what is held out; no random number is in the choice."""
    pixels, labels = part
    out = every_nth(labels, VALIDATION_EVERY)
    return (pixels[~out], labels[~out]), (pixels[out], labels[out])


def every_nth(labels: Labels, n: int) -> NDArray[np.bool_]:
    """Which images are the n-th, 2n-th, ... of their class."""
    mask = np.zeros(len(labels), dtype=np.bool_)
    for label in np.unique(labels):
        mask[np.flatnonzero(labels == label)[n - 1 :: n]] = True
    return mask
