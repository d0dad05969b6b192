"""Decoded batches depend on seed and epoch, not on the decoders; files that cannot be decoded are counted."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from workloads.datasets.imagenet import ImageNet

CPU = torch.device("cpu")
SIZE = 32


@pytest.fixture
def load(photo_tree):
    """Return a function that loads the 40 and 20 photographs."""
    return lambda **settings: ImageNet(
        root=str(photo_tree), subset="photos", image_size=SIZE, **{"decoders": 0, **settings}
    ).load(CPU)


def batches(data, *, rank=0, world_size=1, seed=0, epoch=0, augmentation="scale-jitter", first_step=0, batch_size=12):
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


def assert_equal(ours, theirs):
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("augmentation", ["none", "scale-jitter", "random-resized-crop"])
def test_any_number_of_workers_sees_the_same_global_batches(load, augmentation):
    data = load()
    whole = batches(data, seed=3, epoch=5, augmentation=augmentation)
    assert [tuple(images.shape) for images, _ in whole] == [(12, 3, SIZE, SIZE)] * 3
    for world_size in (2, 4):
        shares = [
            batches(data, seed=3, epoch=5, augmentation=augmentation, rank=rank, world_size=world_size)
            for rank in range(world_size)
        ]
        joined = [tuple(map(torch.cat, zip(*parts, strict=True))) for parts in zip(*shares, strict=True)]
        assert_equal(joined, whole)


def test_any_number_of_decoding_processes_gives_the_same_batches(load):
    whole = batches(load(), seed=1)
    for decoders in (1, 2):
        data = load(decoders=decoders)
        assert_equal(batches(data, seed=1), whole)
        assert_equal(batches(data, seed=1), whole)  # and once more from the same processes


def test_decoding_processes_serve_training_and_evaluation_in_turn_and_after_a_break(load):
    here, there = load(), load(decoders=2)
    broken_off = there.train_batches(
        seed=0, epoch=0, batch_size=4, rank=0, world_size=1, augmentation="none", first_step=0
    )
    next(broken_off)
    for split in ("test", "train"):
        ours, theirs = (
            list(data.evaluation_batches(split, batch_size=7, rank=0, world_size=1)) for data in (here, there)
        )
        assert_equal(theirs, ours)
    assert_equal(batches(there, epoch=1), batches(here, epoch=1))


def test_an_epoch_has_every_whole_batch_and_epochs_and_seeds_have_an_order_of_their_own(load):
    data = load()
    images = torch.cat([images for images, _ in batches(data, augmentation="none")])
    assert len(images.flatten(1).unique(dim=0)) == 36
    orders = {
        tuple(batches(data, seed=seed, epoch=epoch, augmentation="none")[0][1].tolist())
        for seed in range(2)
        for epoch in range(2)
    }
    assert len(orders) == 4


def test_the_same_image_is_cropped_anew_in_every_epoch_and_under_every_seed(load):
    data = load()
    seen = [
        torch.cat([images for images, _ in batches(data, seed=seed, epoch=epoch, batch_size=40)])
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    ]
    assert len(torch.cat(seen).flatten(1).unique(dim=0)) == 120


def test_an_epoch_can_be_taken_up_in_the_middle(load):
    data = load()
    assert_equal(batches(data, first_step=2), batches(data)[2:])


@pytest.mark.parametrize("world_size", [1, 3])
def test_evaluation_slices_hold_every_image_once(load, world_size):
    data = load()
    labels = [
        label
        for rank in range(world_size)
        for _, labels in data.evaluation_batches("test", batch_size=4, rank=rank, world_size=world_size)
        for label in labels.tolist()
    ]
    assert labels == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5


def test_bad_requests_are_refused_before_any_image_is_read(load):
    data = load()
    settings = {"seed": 0, "epoch": 0, "rank": 0}
    with pytest.raises(ValueError, match="batch_size 12 cannot be shared by 5 workers"):
        data.train_batches(**settings, batch_size=12, world_size=5, augmentation="none")
    with pytest.raises(ValueError, match="batch_size is 41, but there are only 40 training images"):
        data.train_batches(**settings, batch_size=41, world_size=1, augmentation="none")
    with pytest.raises(ValueError, match="augmentation is 'crop-flip'; photographs take"):
        data.train_batches(**settings, batch_size=4, world_size=1, augmentation="crop-flip")


def test_the_generator_that_networks_draw_from_is_left_alone(load):
    data = load(decoders=1)
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    batches(data)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("decoders", [0, 2])
def test_a_corrupt_image_is_named_and_counted_once_and_shown_as_grey(load, photo_tree, caplog, decoders):
    path = photo_tree / "train" / "n00000002" / "train_4.JPEG"
    path.write_bytes(path.read_bytes()[:500])
    data = load(decoders=decoders, max_corrupt_pct=2.5)
    with caplog.at_level(logging.WARNING, logger="workloads"):
        images = torch.cat([images for images, _ in batches(data, augmentation="none", batch_size=40)])
        batches(data, epoch=1)
    assert list(data.corrupt) == [str(path)]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        f"{path} cannot be decoded, and is shown as plain grey"
    ]
    grey = [image for image in images if image.flatten(1).std(1).max() == 0]
    assert len(grey) == 1
    assert grey[0].abs().max() < 0.01  # within rounding of the mean colour


def test_more_corrupt_images_than_are_allowed_end_the_trial_with_their_number_and_the_first_of_them(load, photo_tree):
    for i in range(2):
        (photo_tree / "train" / "n00000001" / f"train_{i}.JPEG").write_bytes(b"no image")
    assert len(batches(load(max_corrupt_pct=5), epoch=3, batch_size=40)) == 1
    with pytest.raises(
        ValueError, match=r"2 of 40 images in \S+/train cannot be decoded, more than the 4.9 %"
    ) as error:
        batches(load(max_corrupt_pct=4.9), batch_size=40)
    assert "n00000001/train_" in str(error.value)
    assert "not an image of any known format" in str(error.value)


def test_corrupt_validation_images_do_not_count_against_training_images(load, photo_tree):
    (photo_tree / "val" / "n00000001" / "val_0.JPEG").write_bytes(b"no image")
    data = load(max_corrupt_pct=4)
    assert len(batches(data)) == 3
    with pytest.raises(ValueError, match="1 of 20 images"):
        list(data.evaluation_batches("test", batch_size=20, rank=0, world_size=1))


def test_a_file_that_went_away_counts_as_corrupt(load, photo_tree):
    data = load(max_corrupt_pct=3)
    (photo_tree / "train" / "n00000000" / "train_0.JPEG").unlink()
    batches(data, batch_size=40)
    assert list(data.corrupt) == [str(photo_tree / "train" / "n00000000" / "train_0.JPEG")]


@pytest.mark.parametrize("decoders", [0, 2])
def test_whole_images_come_in_order_at_any_scale_and_keep_their_shape(load, photo_tree, decoders):
    data = load(decoders=decoders, max_corrupt_pct=10)
    (photo_tree / "val" / "n00000003" / "val_2.JPEG").write_bytes(b"no image")
    files = sorted((photo_tree / "val").rglob("*.JPEG"))
    for scale in (24, 80):
        batches = list(data.evaluation_batches("test", batch_size=6, rank=0, world_size=1, scale=scale))
        images = [image for run, _ in batches for image in run]
        assert torch.cat([labels for _, labels in batches]).tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
        assert all(min(image.shape[1:]) == scale for image in images)
        for file, image in zip(files, images, strict=True):
            if file.stat().st_size < 100:
                assert image.abs().max() < 0.01
                continue
            scaled = np.asarray(Image.open(file).resize(image.shape[:0:-1], Image.Resampling.BILINEAR)) / 255
            expected = (scaled - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
            assert np.abs(image.permute(1, 2, 0).numpy() - expected).max() < 1.01 / 255 / 0.224  # one level of 255


def test_a_worker_without_any_image_gives_no_batch(load):
    assert list(load().evaluation_batches("test", batch_size=4, rank=0, world_size=21)) == []
