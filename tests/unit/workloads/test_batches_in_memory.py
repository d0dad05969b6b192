"""Batches are decided by seed and epoch; how many workers share them changes nothing."""

import numpy as np
import pytest
import torch

from workloads.datasets.in_memory import ImagesInMemory, crop_and_flip, epoch_plan

CPU = torch.device("cpu")
IMAGES, TEST_IMAGES, BATCH = 50, 23, 12


@pytest.fixture
def data() -> ImagesInMemory:
    """Make images that are known by their labels, which count up from 0 in training and from 1000 in test."""
    rng = np.random.default_rng(0)

    def part(count: int, first: int):
        pixels = rng.integers(0, 255, (count, 3, 6, 5), dtype=np.uint8)
        return pixels, np.arange(first, first + count)

    return ImagesInMemory.normalized(train=part(IMAGES, 0), test=part(TEST_IMAGES, 1000), device=CPU)


def batches(data, *, rank=0, world_size=1, seed=0, epoch=0, augmentation="none", first_step=0, batch_size=BATCH):
    return list(
        data.train_batches(
            seed=seed,
            epoch=epoch,
            batch_size=batch_size,
            rank=rank,
            world_size=world_size,
            augmentation=augmentation,
            first_step=first_step,
        )
    )


@pytest.mark.parametrize("augmentation", ["none", "crop-flip"])
@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_any_number_of_workers_sees_the_same_global_batches(data, world_size, augmentation):
    whole = batches(data, seed=3, epoch=5, augmentation=augmentation)
    shares = [
        batches(data, seed=3, epoch=5, rank=rank, world_size=world_size, augmentation=augmentation)
        for rank in range(world_size)
    ]
    for step, (images, labels) in enumerate(whole):
        assert torch.equal(torch.cat([share[step][0] for share in shares]), images)
        assert torch.equal(torch.cat([share[step][1] for share in shares]), labels)


def test_an_epoch_has_every_whole_batch_and_no_image_twice(data):
    epoch = batches(data)
    labels = torch.cat([labels for _, labels in epoch]).tolist()
    assert [len(labels) for _, labels in epoch] == [12, 12, 12, 12]
    assert len(set(labels)) == 48


def test_images_and_labels_stay_together(data):
    for images, labels in batches(data):
        assert torch.equal(images, data.train_images[labels])


def test_epochs_and_seeds_each_have_an_order_of_their_own(data):
    orders = {tuple(batches(data, seed=seed, epoch=epoch)[0][1].tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@pytest.mark.parametrize("augmentation", ["none", "crop-flip"])
def test_an_epoch_can_be_taken_up_in_the_middle(data, augmentation):
    whole = batches(data, augmentation=augmentation)
    rest = batches(data, augmentation=augmentation, first_step=3)
    assert len(rest) == 1
    assert torch.equal(rest[0][0], whole[3][0])
    assert torch.equal(rest[0][1], whole[3][1])


def test_the_order_is_a_permutation_and_every_crop_and_flip_occurs():
    order, shifts = epoch_plan(2000, seed=1, epoch=2, augmentation="crop-flip")
    assert sorted(order.tolist()) == list(range(2000))
    assert [sorted(set(column.tolist())) for column in shifts.T] == [list(range(9)), list(range(9)), [0, 1]]


def test_crop_and_flip_equals_padding_and_slicing_one_image_at_a_time():
    images = torch.randn(40, 3, 6, 5)
    _, shifts = epoch_plan(40, seed=0, epoch=0, augmentation="crop-flip")
    result = crop_and_flip(images, shifts)
    for image, (down, right, mirrored), cropped in zip(images.numpy(), shifts.tolist(), result.numpy(), strict=True):
        padded = np.pad(image, ((0, 0), (4, 4), (4, 4)))
        expected = padded[:, down : down + 6, right : right + 5]
        assert np.array_equal(cropped, expected[:, :, ::-1] if mirrored else expected)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 30])
def test_evaluation_slices_hold_every_image_once(data, world_size):
    labels = [
        label
        for rank in range(world_size)
        for _, batch in data.evaluation_batches("test", batch_size=4, rank=rank, world_size=world_size)
        for label in batch.tolist()
    ]
    assert labels == list(range(1000, 1000 + TEST_IMAGES))


def test_evaluation_images_are_plain(data):
    images = [images for images, _ in data.evaluation_batches("train", batch_size=7, rank=0, world_size=1)]
    assert torch.equal(torch.cat(images), data.train_images)


def test_a_batch_that_the_workers_cannot_share_is_refused_before_any_image_is_read(data):
    with pytest.raises(ValueError, match=r"batch_size 12 cannot be shared by 5 workers; the nearest that can is 10"):
        data.train_batches(seed=0, epoch=0, batch_size=12, rank=0, world_size=5, augmentation="none")


def test_a_batch_larger_than_the_training_set_is_refused(data):
    with pytest.raises(ValueError, match="batch_size is 51, but there are only 50 training images"):
        batches(data, batch_size=51)


def test_an_unknown_augmentation_is_refused(data):
    with pytest.raises(ValueError, match="augmentation is 'mixup'; allowed are 'none' and 'crop-flip'"):
        batches(data, augmentation="mixup")


def test_whole_images_at_another_scale_are_means_of_their_neighbours():
    square = ImagesInMemory.normalized(
        train=(np.arange(16, dtype=np.uint8).reshape(1, 1, 4, 4), np.array([3])),
        test=(np.full((2, 1, 4, 4), 9, dtype=np.uint8), np.array([1, 2])),
        device=CPU,
    )
    ((images, labels),) = square.evaluation_batches("train", batch_size=5, rank=0, world_size=1, scale=2)
    # Antialiased, a pixel is the mean of a 4x4 window with weights 1, 3, 3, 1, which ends at the border: 3, 3, 1.
    weights = np.array([[3, 3, 1, 0], [0, 1, 3, 3]]) / 7
    expected = weights @ square.train_images[0, 0].double().numpy() @ weights.T
    assert np.allclose(images[0, 0].numpy(), expected, atol=1e-6)
    assert labels.tolist() == [3]
