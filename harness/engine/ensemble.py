"""Ensembles of trained networks: the average of their softmax scores, image by image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from harness.engine.evaluate import Evaluation, Evaluator
from harness.engine.network import build_module, precision
from harness.engine.process import load_dataset, prepare_process
from harness.engine.views import views
from harness.trial import Trial


def evaluate_ensemble(members: Iterable[tuple[Trial, dict[str, Any]]], device: torch.device) -> list[Evaluation]:
    """Evaluate trained networks on their common test set: each by itself, and last all together.

    Each network evaluates the images by its own recipe, and all have the same weight. The members are taken one after
    another, so only one network is in memory at a time.

    Args:
        members: each trial and its weights, all for one data set.
        device: device to compute on.

    Raises:
        OSError, ValueError: the data cannot be loaded, or the device cannot compute with a recipe's precision.
    """
    evaluations: list[Evaluation] = []
    total: Tensor | None = None
    for trial, weights in members:
        evaluator, scores, labels = _scores(trial, weights, device)
        evaluations.append(evaluator.count(scores, labels))
        total = scores if total is None else total + scores
    assert total is not None, "no members"
    return [*evaluations, evaluator.count(total / len(evaluations), labels)]


def _scores(trial: Trial, weights: dict[str, Any], device: torch.device) -> tuple[Evaluator, Tensor, Tensor]:
    prepare_process(trial, device)
    module = build_module(trial, device)
    module.load_state_dict(weights)
    evaluator = Evaluator(
        data=load_dataset(trial.dataset, device),
        classes=trial.dataset.classes,
        batch_size=trial.recipe.batch_size // trial.scale.workers,
        rank=0,
        world_size=1,
        precision=precision(trial.recipe, device),
    )
    passes = views(trial.recipe.evaluation, trial.dataset.image_size)
    return evaluator, *evaluator.scores(passes, module, "test")
