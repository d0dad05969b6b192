"""Exact evaluation, compared with a count that takes one image at a time."""

import math

import numpy as np
import pytest
import torch

from harness.engine.evaluate import Evaluation, Evaluator
from workloads.datasets.digits import Digits
from workloads.datasets.in_memory import ImagesInMemory
from workloads.datasets.normalization import Normalization

CPU = torch.device("cpu")


def answers(module, data, *, classes, split="test", batch_size=50):
    return evaluator(data, classes=classes, batch_size=batch_size).plain(module, split)


def evaluator(data, *, classes, batch_size=50, rank=0, world_size=1):
    return Evaluator(
        data=data,
        classes=classes,
        batch_size=batch_size,
        rank=rank,
        world_size=world_size,
        precision=torch.autocast("cpu", enabled=False),
    )


class Scores(torch.nn.Module):
    """A network that returns an image's pixels as its scores."""

    def __init__(self):
        super().__init__()
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return x.flatten(1)


def three_class_data(scores, labels):
    images = torch.tensor(scores).view(-1, 3, 1, 1)
    part = {"train_pixels": images[:0], "train_labels": torch.tensor(labels)[:0]}
    as_they_are = Normalization(torch.zeros(()), torch.ones(()))
    return ImagesInMemory(**part, test_pixels=images, test_labels=torch.tensor(labels), normalization=as_they_are)


@pytest.mark.parametrize("split", ["train", "test"])
def test_errors_and_loss_equal_a_count_of_one_image_at_a_time(make_trial, split):
    torch.manual_seed(0)
    module = make_trial().model.build(in_channels=1, num_classes=10, image_size=8)
    data = Digits().load(CPU)
    images, labels = (getattr(data, f"{split}_{what}") for what in ("images", "labels"))
    evaluation = answers(module, data, classes=10, split=split)
    module.eval()
    errors, loss = 0, 0.0
    with torch.no_grad():
        for image, label in zip(images, labels.tolist(), strict=True):
            scores = module(image[None])[0].double().numpy()
            errors += int(np.argmax(scores)) != label
            loss += float(np.log(np.exp(scores).sum()) - scores[label])
    assert (evaluation.errors, evaluation.images) == (errors, len(labels))
    assert evaluation.loss == pytest.approx(loss / len(labels), rel=1e-6)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_the_batch_size_changes_no_count(batch_size):
    data = three_class_data([[2.0, 1, 0], [0, 2, 1], [0, 2, 1], [0, 1, 2], [9, 1, 2]], [0, 1, 2, 2, 2])
    evaluation = answers(Scores(), data, classes=3, batch_size=batch_size)
    assert evaluation == Evaluation(images=5, errors=2, errors_top5=None, loss=evaluation.loss, commonest=3)
    assert evaluation.error_pct == 40


def test_scores_that_are_not_finite_are_an_error_even_where_the_label_is_the_first_class():
    data = three_class_data([[math.nan] * 3, [math.inf, 0, 0], [3.0, 0, 0]], [0, 0, 0])
    evaluation = answers(Scores(), data, classes=3)
    assert evaluation.errors == 2
    assert not math.isfinite(evaluation.loss)


@pytest.mark.parametrize(
    ("errors", "chance"),
    [(600, True), (590, True), (589, False), (0, False), (900, True)],
)
def test_chance_is_within_one_point_of_always_answering_the_commonest_class(errors, chance):
    """400 of 1,000 images are of the commonest class: to answer it always gives 60.0 % errors; 59.0 % is chance too."""
    assert Evaluation(images=1000, errors=errors, errors_top5=None, loss=1.0, commonest=400).is_chance is chance


def test_evaluation_leaves_weights_and_running_statistics_alone(make_trial):
    module = make_trial().model.build(in_channels=1, num_classes=10, image_size=8)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    answers(module, Digits().load(CPU), classes=10)
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
