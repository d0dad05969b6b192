"""The digits as the harness reads them, beside scikit-learn's own loader."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch

from workloads.datasets import DATASETS
from workloads.datasets.digits import Digits, is_test, read_digits

CPU = torch.device("cpu")
# Every fifth of the 178, 182, 177, 183, 181, 182, 181, 179, 174, 180 images of each class.
TEST_IMAGES_PER_CLASS = [35, 36, 35, 36, 36, 36, 36, 35, 34, 36]


@pytest.fixture(scope="module")
def sklearn_digits():
    return pytest.importorskip("sklearn.datasets").load_digits()


def test_pixels_and_labels_are_those_of_scikit_learn(sklearn_digits):
    pixels, labels = read_digits()
    assert np.array_equal(pixels[:, 0], sklearn_digits.images)
    assert np.array_equal(labels, sklearn_digits.target)


def test_the_split_holds_a_fifth_of_every_class():
    _, labels = read_digits()
    assert np.bincount(labels[is_test(labels)]).tolist() == TEST_IMAGES_PER_CLASS


def test_the_split_takes_the_fifth_image_of_each_class_in_the_files_order():
    labels = np.array([7, 7, 3, 7, 7, 7, 3, 3, 3, 3, 7])
    assert np.flatnonzero(is_test(labels)).tolist() == [5, 9]


def test_the_counts_that_the_data_set_states_are_true():
    data = Digits().load(CPU)
    assert data.train_images.shape == (Digits.train_images, Digits.channels, Digits.image_size, Digits.image_size)
    assert len(data.test_labels) == Digits.test_images
    assert Digits.train_images + Digits.test_images == 1797
    assert set(data.train_labels.tolist()) == set(range(Digits.classes))


def test_training_pixels_have_mean_zero_and_deviation_one_and_test_pixels_use_the_same_scale(sklearn_digits):
    data = Digits().load(CPU)
    assert data.train_images.double().mean().item() == pytest.approx(0, abs=1e-6)
    assert data.train_images.double().std(correction=0).item() == pytest.approx(1, abs=1e-6)
    test = is_test(sklearn_digits.target)
    train_pixels = sklearn_digits.images[~test]
    expected = (sklearn_digits.images[test] - train_pixels.mean()) / train_pixels.std()
    assert np.allclose(data.test_images[:, 0].numpy(), expected, atol=1e-5)


def test_the_fingerprint_is_the_digest_of_pixels_labels_and_test_places(sklearn_digits):
    test_places = [i for i, flag in enumerate(is_test(sklearn_digits.target)) if flag]
    parts = [sklearn_digits.images.ravel(), sklearn_digits.target, test_places]
    numbers = np.concatenate([np.asarray(part) for part in parts]).astype("<i8")
    assert Digits().fingerprint() == hashlib.sha256(numbers.tobytes()).hexdigest()


def test_the_fingerprint_needs_neither_torch_nor_scikit_learn():
    code = """
import sys
from workloads.datasets import DATASETS
assert len(DATASETS["digits"]().fingerprint()) == 64
print([name for name in ("torch", "sklearn", "pandas", "ray", "mlflow") if name in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_digits_are_found_by_name():
    assert DATASETS["digits"] is Digits
