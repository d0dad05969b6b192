"""Exact evaluation: every image once, whatever the number of workers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.engine.distributed import share_buffers, summed
from workloads.datasets.spec import LoadedDataset, Split


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A network's answers on one part of a data set."""

    images: int
    errors: int
    """Images whose highest score is another class's. Scores that are not finite are no answer, and an error."""
    loss: float
    """Mean cross-entropy in nats; not finite where the scores are not."""
    commonest: int
    """Images of the most frequent class: always answering it makes images - commonest errors."""

    @property
    def error_pct(self) -> float:
        """Errors among 100 images."""
        return 100 * self.errors / self.images

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
    counts = torch.zeros(1 + classes, dtype=torch.int64, device=device)
    loss = torch.zeros(1, dtype=torch.float64, device=device)
    batches = data.evaluation_batches(split, batch_size=batch_size, rank=rank, world_size=world_size)
    for images, labels in batches:
        with precision:
            logits = module(images)
        counts[0] += _errors(logits, labels)
        counts[1:].scatter_add_(0, labels, torch.ones_like(labels))  # bincount would wait for the device
        loss += functional.cross_entropy(logits.float(), labels, reduction="sum")
    # The one place where the host waits: these two read-outs.
    errors, *per_class = summed(counts, world_size).tolist()
    total = sum(per_class)
    return Evaluation(
        images=total, errors=errors, loss=summed(loss, world_size).item() / total, commonest=max(per_class)
    )


def _errors(logits: Tensor, labels: Tensor) -> Tensor:
    best, answer = logits.max(dim=1)
    return ((answer != labels) | ~best.isfinite()).sum()
