"""The required content of ImageNet's folders, and the messages where it is missing."""

import dataclasses
import shutil

import fsspec
import pytest
import torch
from torchvision.datasets.imagenet import ARCHIVE_META

from workloads.datasets.class_folders import list_part, tree_of
from workloads.datasets.files import Location
from workloads.datasets.imagenet import ImageNet
from workloads.datasets.imagenet_official import IMAGENET, OfficialTree

CPU = torch.device("cpu")


@pytest.fixture
def tiny_imagenet(photo_tree):
    """Return a specification that takes the tree of photographs for all of ImageNet."""
    sizes = {
        part: sum(file.stat().st_size for file in (photo_tree / part).rglob("*.JPEG")) for part in ("train", "val")
    }
    official = OfficialTree(
        classes=tuple(f"n{i:08}" for i in range(4)),
        train_images=40,
        val_images=20,
        train_bytes=round(sizes["train"] * 1.01),
        val_bytes=round(sizes["val"] * 1.01),
        archives={"train.tar": "md5:1"},
    )
    return type("TinyImageNet", (ImageNet,), {"official": official})


def failure(spec) -> str:
    with pytest.raises((FileNotFoundError, ValueError)) as error:
        spec.load(CPU)
    return str(error.value)


def test_it_is_absent_where_a_part_of_it_has_no_folder(photo_tree, tmp_path):
    assert ImageNet(root=str(photo_tree)).absence() is None
    shutil.rmtree(photo_tree / "val")
    assert ImageNet(root=str(photo_tree)).absence().startswith(f"there is no folder {photo_tree}/val; ")
    assert ImageNet(root="memory://empty").absence() is None


def test_the_classes_are_the_1000_of_2012_in_the_order_of_the_labels():
    assert len(set(IMAGENET.classes)) == 1000
    assert list(IMAGENET.classes) == sorted(IMAGENET.classes)
    # Tench, English springer, golden retriever, tabby, toilet tissue: places that every list of labels prints.
    known = {0: "n01440764", 217: "n02102040", 207: "n02099601", 281: "n02123045", 999: "n15075141"}
    assert {place: IMAGENET.classes[place] for place in known} == known


def test_the_official_archives_are_those_of_torchvision():
    theirs = {name: f"md5:{digest}" for part, (name, digest) in ARCHIVE_META.items() if part != "devkit"}
    assert theirs == IMAGENET.archives


def test_it_can_be_planned_before_its_files_are_here(tmp_path):
    spec = ImageNet(root=str(tmp_path / "nowhere"))
    assert (spec.classes, spec.train_images, spec.test_images) == (1000, 1_281_167, 50_000)
    assert spec.fingerprint() == ImageNet().fingerprint()
    assert spec.identity() == {"subset": "", "image_size": 224}


def test_a_tree_as_it_should_be_is_taken(tiny_imagenet, photo_tree):
    data = tiny_imagenet(root=str(photo_tree), decoders=0, image_size=32).load(CPU)
    batches = list(data.evaluation_batches("test", batch_size=7, rank=0, world_size=1))
    assert torch.cat([labels for _, labels in batches]).tolist() == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5


def test_a_root_without_its_folders_is_named(tiny_imagenet, tmp_path):
    said = failure(tiny_imagenet(root=str(tmp_path / "nowhere")))
    assert said.startswith(f"there is no folder {tmp_path}/nowhere/train; `root` must hold `train` and `val`")


def test_images_outside_class_folders_are_not_taken(tiny_imagenet, photo_tree):
    for file in list((photo_tree / "val").rglob("*.JPEG")):
        file.rename(photo_tree / "val" / f"{file.parent.name}_{file.name}")
    for folder in (photo_tree / "val").glob("n*/"):
        if folder.is_dir():
            folder.rmdir()
    assert "val has no class folders: the images of each class must lie in a folder" in failure(
        tiny_imagenet(root=str(photo_tree))
    )


def test_missing_and_unknown_classes_are_named(tiny_imagenet, photo_tree):
    (photo_tree / "train" / "n00000002").rename(photo_tree / "train" / "n09999999")
    said = failure(tiny_imagenet(root=str(photo_tree)))
    assert f"{photo_tree}/train lacks n00000002" in said
    assert f"{photo_tree}/train has the unknown class n09999999" in said
    assert "val" not in said.replace(str(photo_tree), "")


def test_of_many_missing_classes_the_first_five_are_named(photo_tree):
    said = failure(ImageNet(root=str(photo_tree)))
    assert "train lacks n01440764, n01443537, n01484850, n01491361, n01494475 and 995 more" in said


def test_a_missing_image_is_counted(tiny_imagenet, photo_tree):
    (photo_tree / "val" / "n00000001" / "val_3.JPEG").unlink()
    assert f"{photo_tree}/val has 19 images, and must have 20" in failure(tiny_imagenet(root=str(photo_tree)))


def test_smaller_copies_of_the_photographs_are_not_taken_for_the_published_ones(tiny_imagenet, photo_tree):
    for file in (photo_tree / "train" / "n00000000").iterdir():
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    said = failure(tiny_imagenet(root=str(photo_tree)))
    assert "these are not the files as published" in said
    assert "give the data set a name of its own with `subset`" in said


def test_a_named_subset_is_what_its_folders_hold(photo_tree):
    shutil.rmtree(photo_tree / "train" / "n00000003")
    shutil.rmtree(photo_tree / "val" / "n00000003")
    (photo_tree / "train" / "n00000000" / "notes.txt").write_text("not an image")
    spec = ImageNet(root=str(photo_tree), subset="three-classes")
    assert (spec.classes, spec.train_images, spec.test_images) == (3, 30, 15)
    assert spec.identity()["subset"] == "three-classes"


def test_a_subset_must_have_the_same_classes_in_both_parts_and_images_in_all(photo_tree):
    shutil.rmtree(photo_tree / "val" / "n00000003")
    for file in (photo_tree / "train" / "n00000001").iterdir():
        file.unlink()
    said = failure(ImageNet(root=str(photo_tree), subset="broken"))
    assert f"{photo_tree}/val lacks the class n00000003" in said
    assert f"{photo_tree}/train/n00000001 has no JPEG file" in said


def test_a_subsets_fingerprint_is_that_of_its_files_wherever_they_lie(photo_tree, tmp_path):
    def fingerprint(root):
        tree_of.cache_clear()
        return ImageNet(root=str(root), subset="photos").fingerprint()

    first = fingerprint(photo_tree)
    shutil.copytree(photo_tree, tmp_path / "copy")
    assert fingerprint(tmp_path / "copy") == first
    file = tmp_path / "copy" / "val" / "n00000001" / "val_3.JPEG"
    content = bytearray(file.read_bytes())
    content[-10] ^= 1  # as many bytes as before
    file.write_bytes(content)
    changed = fingerprint(tmp_path / "copy")
    assert changed != first
    file.rename(file.with_name("val_9.JPEG"))
    assert fingerprint(tmp_path / "copy") not in (first, changed)


def test_names_sizes_and_labels_are_listed_in_sorted_order(photo_tree):
    part = list_part(Location(str(photo_tree / "train")))
    files = sorted((photo_tree / "train").rglob("*.JPEG"))
    assert [part.name(i) for i in range(len(part))] == [f"{file.parent.name}/{file.name}" for file in files]
    assert part.sizes.tolist() == [file.stat().st_size for file in files]
    assert part.labels.tolist() == [int(file.parent.name[1:]) for file in files]


def test_the_root_may_be_a_url(photo_tree):
    memory = fsspec.filesystem("memory")
    memory.put(str(photo_tree), "/photos", recursive=True)
    try:
        there = list_part(Location("memory://photos/train"))
        here = list_part(Location(str(photo_tree / "train")))
        assert (there.classes, there.sizes.tolist()) == (here.classes, here.sizes.tolist())
        assert there.names.tobytes() == here.names.tobytes()
        specs = [
            ImageNet(root=root, subset="photos", image_size=32, decoders=0)
            for root in ("memory://photos", str(photo_tree))
        ]
        assert specs[0].fingerprint() == specs[1].fingerprint()
        (one, _), (other, _) = (
            next(spec.load(CPU).evaluation_batches("test", batch_size=4, rank=0, world_size=1)) for spec in specs
        )
        assert torch.equal(one, other)
    finally:
        memory.rm("/photos", recursive=True)


@pytest.mark.parametrize("setting", ["image_size", "decoders", "max_corrupt_pct"])
def test_a_setting_that_makes_no_sense_is_refused(setting):
    with pytest.raises(ValueError, match=f"{setting} is -1; it must be at least"):
        dataclasses.replace(ImageNet(), **{setting: -1})
