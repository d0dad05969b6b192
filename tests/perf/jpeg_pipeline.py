"""Compare the harness's photograph pipeline with torchvision's ImageFolder in a plain DataLoader: images per second.

    python -m tests.perf.jpeg_pipeline [--epochs N] [--images N] [--processes N]

Both read the same JPEG files, crops of 500x375 pixels of the two photographs that scikit-learn ships, with as many
processes and the same augmentation, and return the same batches of normalized float32 images. Epochs of the two
alternate in one process, so that other load on the machine affects both alike; the first epoch of each, in which its
processes start, is left out.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from harness.measure.identity import processor_name
from workloads.datasets.imagenet import ImageNet

Batches = Iterator[tuple[Tensor, Tensor]]

BATCH = 32
PLAIN_CROPS: dict[str, list[v2.Transform]] = {
    "random-resized-crop": [v2.RandomResizedCrop(224)],
    "scale-jitter": [v2.RandomShortestSize(list(range(256, 481))), v2.RandomCrop(224)],
}
"""Torchvision's transforms for each augmentation; the second lacks the PCA colour that the harness adds."""


def write_photographs(root: Path, count: int) -> None:
    """Write class folders `train` and `val`, with two classes each."""
    photographs = load_sample_images().images
    rng = np.random.default_rng(0)
    for part, images in (("train", count), ("val", 2)):
        for i in range(images):
            folder = root / part / f"n{i % 2:08}"
            folder.mkdir(parents=True, exist_ok=True)
            y, x = rng.integers(0, 427 - 375), rng.integers(0, 640 - 500)
            crop = photographs[i % 2][y : y + 375, x : x + 500]
            Image.fromarray(crop).save(folder / f"{i}.JPEG", quality=90)


def plain(root: Path, augmentation: str, processes: int) -> Callable[[int], Batches]:
    """Return a function that gives an epoch's batches, written as in torchvision's documentation."""
    steps = [
        *PLAIN_CROPS[augmentation],
        v2.RandomHorizontalFlip(),
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
    loader = DataLoader(
        ImageFolder(str(root / "train"), v2.Compose(steps)),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=processes,
        persistent_workers=True,
    )
    return lambda _: iter(loader)


def ours(root: Path, augmentation: str, processes: int) -> Callable[[int], Batches]:
    """Return a function that gives an epoch's batches as a trial gets them."""
    data = ImageNet(root=str(root), subset="crops", decoders=processes).load(torch.device("cpu"))
    return lambda epoch: data.train_batches(
        seed=0, epoch=epoch, batch_size=BATCH, rank=0, world_size=1, augmentation=augmentation
    )


def rate(batches: Batches) -> float:
    """Return the images per second of one epoch."""
    started = time.perf_counter()
    images = sum(len(labels) for _, labels in batches)
    return images / (time.perf_counter() - started)


def compare(root: Path, augmentation: str, *, epochs: int, processes: int) -> None:
    """Print images per second of both, and the ratio of each pair of epochs."""
    pipelines = {"torchvision": plain(root, augmentation, processes), "harness": ours(root, augmentation, processes)}
    rates = np.array([[rate(pipeline(epoch)) for pipeline in pipelines.values()] for epoch in range(epochs + 1)])[1:]
    print(f"\n{augmentation}, batch {BATCH}, {processes} processes")
    for name, values in zip(pipelines, rates.T, strict=True):
        print(f"{name:>14}: {spread(values, '.0f')} images/s")
    print(f"ratio of pairs: {spread(rates[:, 1] / rates[:, 0], '.2f')}")


def spread(values: NDArray[np.float64], form: str) -> str:
    """Return median, quartiles and n of one value per epoch."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"median {middle:{form}}, quartiles {low:{form}} to {high:{form}}, n = {len(values)} epochs"


def main() -> None:
    """Compare the pipelines under both augmentations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--images", type=int, default=640, help="photographs an epoch")
    parser.add_argument("--processes", type=int, default=2, help="that decode")
    given = parser.parse_args()
    versions = f"torch {torch.__version__}, torchvision {torchvision.__version__}, Pillow {PIL.__version__}"
    print(f"{processor_name()}, {versions}, load {Path('/proc/loadavg').read_text()[:4]}")
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder), given.images)
        for augmentation in PLAIN_CROPS:
            compare(Path(folder), augmentation, epochs=given.epochs, processes=given.processes)


if __name__ == "__main__":
    main()
