"""Exact evaluation: every image once, whatever the number of workers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.engine.distributed import share_buffers, summed
from workloads.datasets.spec import LoadedDataset, Split

FEW_CLASSES = 10
"""With no more classes than this five answers say little, and nobody publishes them."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A network's answers on one part of a data set."""

    images: int
    errors: int
    """Images whose highest score is another class's. Scores that are not finite are no answer, and an error."""
    errors_top5: int | None
    """Images whose class is not among the five with the highest scores; None where there are but a few classes."""
    loss: float
    """Mean cross-entropy in nats; not finite where the scores are not."""
    commonest: int
    """Images of the most frequent class: always answering it makes images - commonest errors."""

    @property
    def error_pct(self) -> float:
        """Errors among 100 images."""
        return 100 * self.errors / self.images

    @property
    def error_top5_pct(self) -> float | None:
        """As `error_pct`, of the five best answers."""
        return None if self.errors_top5 is None else 100 * self.errors_top5 / self.images

    @property
    def is_chance(self) -> bool:
        """Whether the answers are no better, within 1 point, than always naming the commonest class."""
        return self.error_pct >= 100 * (1 - self.commonest / self.images) - 1


@torch.no_grad()
def evaluate(
    module: nn.Module,
    data: LoadedDataset,
    split: Split,
    *,
    classes: int,
    batch_size: int,
    rank: int,
    world_size: int,
    precision: torch.autocast,
) -> Evaluation:
    """Answers on plain images, in evaluation mode. All ranks take part, and all get the same value."""
    share_buffers(module, world_size)
    module.eval()
    device = next(module.parameters()).device
    counts = torch.zeros(2 + classes, dtype=torch.int64, device=device)
    loss = torch.zeros(1, dtype=torch.float64, device=device)
    batches = data.evaluation_batches(split, batch_size=batch_size, rank=rank, world_size=world_size)
    for images, labels in batches:
        with precision:
            logits = module(images)
        counts[0] += errors_at(1, logits, labels)
        counts[1] += errors_at(5, logits, labels) if classes > FEW_CLASSES else 0
        counts[2:].scatter_add_(0, labels, torch.ones_like(labels))  # bincount would wait for the device
        loss += functional.cross_entropy(logits.float(), labels, reduction="sum")
    # The one place where the host waits: these two read-outs.
    errors, errors_top5, *per_class = summed(counts, world_size).tolist()
    total = sum(per_class)
    return Evaluation(
        images=total,
        errors=errors,
        errors_top5=errors_top5 if classes > FEW_CLASSES else None,
        loss=summed(loss, world_size).item() / total,
        commonest=max(per_class),
    )


def errors_at(k: int, scores: Tensor, labels: Tensor) -> Tensor:
    """Images whose class is not among the k with the highest scores, or whose highest score is not finite."""
    best, answers = scores.topk(k, dim=1) if k > 1 else scores.max(dim=1, keepdim=True)
    return ((answers != labels[:, None]).all(dim=1) | ~best[:, 0].isfinite()).sum()
