"""Exact evaluation: every image counts once, whatever the number of workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.engine.distributed import share_buffers, summed
from harness.engine.views import View
from workloads.datasets.spec import LoadedDataset, Split

FEW_CLASSES = 10
"""Most classes for which top-5 errors are not counted: they say little there, and nobody publishes them."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A network's errors and loss on one part of a data set."""

    images: int
    errors: int
    """Images whose highest score belongs to another class. Scores that are not finite count as an error."""
    errors_top5: int | None
    """Images whose class is not among the five with the highest scores; None if there are only a few classes."""
    loss: float
    """Mean cross-entropy in nats; not finite where the scores are not."""
    commonest: int
    """Images of the most frequent class. Always predicting this class makes images - commonest errors."""

    @property
    def error_pct(self) -> float:
        """Errors per 100 images."""
        return 100 * self.errors / self.images

    @property
    def error_top5_pct(self) -> float | None:
        """Top-5 errors per 100 images; None if they are not counted."""
        return None if self.errors_top5 is None else 100 * self.errors_top5 / self.images

    @property
    def is_chance(self) -> bool:
        """Whether the network is no better, within 1 point, than always predicting the most frequent class."""
        return self.error_pct >= 100 * (1 - self.commonest / self.images) - 1


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """One rank's part in evaluations. All ranks take part in each, and all get the same value."""

    data: LoadedDataset
    classes: int
    batch_size: int
    """Number of plain images at once. There are fewer if one view of an image takes more memory."""
    rank: int
    world_size: int
    precision: torch.autocast

    @torch.no_grad()
    def plain(self, module: nn.Module, split: Split) -> Evaluation:
        """Evaluate on plain images, in evaluation mode."""
        self._prepare(module)
        tally = _Tally(self.classes, _device_of(module))
        for images, labels in self._batches(split, self.batch_size, None):
            with self.precision:
                logits = module(images)
            tally.add(logits, labels, functional.cross_entropy(logits.float(), labels, reduction="sum"))
        return tally.over(self.world_size)

    def check_room(self, views: Sequence[View], split: Split) -> None:
        """Check that there is room for the batches of all views, so that training is not in vain.

        Raises:
            RuntimeError: there is none for some of them.
        """
        for view in views:
            self.data.check_room(
                split, batch_size=self._size(view), rank=self.rank, world_size=self.world_size, scale=view.shorter_side
            )

    def through(self, views: Sequence[View], module: nn.Module, split: Split) -> Evaluation:
        """Evaluate by the average of the scores in all views of an image."""
        return self.count(*self.scores(views, module, split))

    @torch.no_grad()
    def scores(self, views: Sequence[View], module: nn.Module, split: Split) -> tuple[Tensor, Tensor]:
        """Return this rank's softmax scores in order, averaged over the views, float32 [n, classes], and the labels.

        Each view goes over all images before the next, so the scores of all images are kept: 200 MB for ImageNet's
        50,000.
        """
        self._prepare(module)
        with _shapes_that_vary():
            total, labels = self._one_pass(views[0], module, split)
            for view in views[1:]:
                total += self._one_pass(view, module, split)[0]
        return total / len(views), labels

    def _one_pass(self, view: View, module: nn.Module, split: Split) -> tuple[Tensor, Tensor]:
        def scorer(images: Tensor) -> Tensor:
            with self.precision:
                logits: Tensor = module(images)
            return logits.float().softmax(1)

        device = _device_of(module)
        scores = [torch.zeros(0, self.classes, device=device)]  # where there are fewer images than ranks
        labels = [torch.zeros(0, dtype=torch.int64, device=device)]
        for images, batch_labels in self._batches(split, self._size(view), view.shorter_side):
            scores.append(view.scores(images, scorer))
            labels.append(batch_labels)
        return torch.cat(scores), torch.cat(labels)

    def count(self, scores: Tensor, labels: Tensor) -> Evaluation:
        """Count the errors of all ranks, from each rank's scores."""
        tally = _Tally(self.classes, scores.device)
        tally.add(scores, labels, functional.nll_loss(scores.log(), labels, reduction="sum"))
        return tally.over(self.world_size)

    def _size(self, view: View) -> int:
        return max(1, int(self.batch_size / view.weight))

    def _prepare(self, module: nn.Module) -> None:
        share_buffers(module, self.world_size)
        module.eval()

    def _batches(self, split: Split, size: int, shorter_side: int | None) -> Iterator[tuple[Tensor, Tensor]]:
        return self.data.evaluation_batches(
            split, batch_size=size, rank=self.rank, world_size=self.world_size, scale=shorter_side
        )


class _Tally:
    """Counts that stay on the device until all images are counted, and a sum of losses."""

    def __init__(self, classes: int, device: torch.device) -> None:
        self._classes = classes
        self._counts = torch.zeros(2 + classes, dtype=torch.int64, device=device)
        self._loss = torch.zeros(1, dtype=torch.float64, device=device)

    def add(self, scores: Tensor, labels: Tensor, loss: Tensor) -> None:
        """Add some images: logits or softmax scores, since only their order counts, and the sum of their losses."""
        self._counts[0] += errors_at(1, scores, labels)
        self._counts[1] += errors_at(5, scores, labels) if self._classes > FEW_CLASSES else 0
        self._counts[2:].scatter_add_(0, labels, torch.ones_like(labels))  # bincount would wait for the device
        self._loss += loss

    def over(self, world_size: int) -> Evaluation:
        """Return the evaluation over all ranks."""
        # The host waits for the device only here, in these two read-outs.
        errors, errors_top5, *per_class = summed(self._counts, world_size).tolist()
        total = sum(per_class)
        return Evaluation(
            images=total,
            errors=errors,
            errors_top5=errors_top5 if self._classes > FEW_CLASSES else None,
            loss=summed(self._loss, world_size).item() / total,
            commonest=max(per_class),
        )


def _device_of(module: nn.Module) -> torch.device:
    return next(module.parameters()).device


@contextmanager
def _shapes_that_vary() -> Iterator[None]:
    """Stop cuDNN from trying all of its kernels on each shape: photographs have hundreds of shapes."""
    before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def errors_at(k: int, scores: Tensor, labels: Tensor) -> Tensor:
    """Count images whose class is not among the k with the highest scores, or whose highest score is not finite."""
    best, best_classes = scores.topk(k, dim=1) if k > 1 else scores.max(dim=1, keepdim=True)
    return ((best_classes != labels[:, None]).all(dim=1) | ~best[:, 0].isfinite()).sum()
