"""Small data sets in the exact formats of the official ones, with digests of their own."""

import hashlib
import io
import pickle
import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from workloads.datasets.cifar import Cifar, Cifar10, Cifar100
from workloads.datasets.cifar_official import Official, Version
from workloads.datasets.files import OfficialFile

RECONSTRUCT = np.empty(0).__reduce__()[0]


class Python2Pickler(pickle._Pickler):
    """A pickler like Python 2's with protocol 2: text and bytes are both its `str`, numpy's modules have old names."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_python2_str(self, value):
        content = value.encode() if isinstance(value, str) else value
        head = b"U" + bytes([len(content)]) if len(content) < 256 else b"T" + struct.pack("<i", len(content))
        self.write(head + content)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = save_python2_str

    def save_global(self, obj, name=None):
        if obj is not RECONSTRUCT:
            return super().save_global(obj, name)
        self.write(b"cnumpy.core.multiarray\n_reconstruct\n")
        return self.memoize(obj)

    dispatch[type(RECONSTRUCT)] = save_global


def python2_pickle(value) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def official_file(name: str, content: bytes, algorithm: str = "md5") -> OfficialFile:
    return OfficialFile(
        name=name, digest=f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}", size=len(content)
    )


@dataclass(frozen=True)
class TinyCifar:
    """Both official archives of a tiny set, packed and unpacked, and the images that they hold."""

    spec: type[Cifar]
    folders: dict[str, Path]
    """`binary` or `python`, `packed` or `unpacked` -> the folder that holds this form alone."""
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


FORMS = ["binary packed", "binary unpacked", "python packed", "python unpacked"]


def write_tiny_cifar(base: type[Cifar], root: Path, *, shuffle_python: bool = False) -> TinyCifar:
    """Write a set in `base`'s format with 20 training images per file and 30 test images."""
    rng = np.random.default_rng(1)
    coarse = base is Cifar100
    batches = {file.name: 20 for file in base.official.binary.train} | {base.official.binary.test[0].name: 30}
    images = {
        name: (
            rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8),
            rng.integers(0, 20, count),
            np.arange(count) % base.classes,
        )
        for name, count in batches.items()
    }
    binary, python = {}, {}
    for name, (pixels, rough, labels) in images.items():
        records = bytearray()
        for image, outer, label in zip(pixels, rough, labels, strict=True):
            records += bytes([outer, label]) if coarse else bytes([label])
            records += image.tobytes()  # red, then green, then blue, each row by row
        binary[name] = bytes(records)
        order = slice(None, None, -1) if shuffle_python else slice(None)
        batch = {b"data": pixels.reshape(len(pixels), -1)[order], b"filenames": [b"tench_s_000001.png"] * len(pixels)}
        if coarse:
            batch |= {b"coarse_labels": rough[order].tolist(), b"fine_labels": labels[order].tolist()}
        else:
            batch |= {b"labels": labels[order].tolist(), b"batch_label": b"training batch 1 of 5"}
        python[name.removesuffix(".bin")] = python2_pickle(batch)
    folders = {form: root / form.replace(" ", "-") for form in FORMS}
    official = Official(
        name=base.official.name,
        label_bytes=base.official.label_bytes,
        binary=write_version(base.official.binary, binary, folders["binary packed"], folders["binary unpacked"]),
        python=write_version(base.official.python, python, folders["python packed"], folders["python unpacked"]),
    )
    names = [file.name for file in base.official.binary.train]
    train = tuple(np.concatenate([images[name][i] for name in names]) for i in (0, 2))
    test = tuple(images[base.official.binary.test[0].name][i] for i in (0, 2))
    return TinyCifar(type("Tiny", (base,), {"official": official}), folders, train, test)


def write_version(version: Version, contents: dict[str, bytes], packed: Path, unpacked: Path) -> Version:
    """Write the files of one version as archive and as folder, and return the version with their own digests."""
    contents = contents | {"readme.html": b"<p>Kept beside the images in the official archives.</p>"}
    for name, content in contents.items():
        path = unpacked / version.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    packed.mkdir(parents=True)
    with tarfile.open(packed / version.archive.name, "w:gz") as tar:
        tar.add(unpacked / version.folder, arcname=version.folder)
    algorithm = version.train[0].digest.partition(":")[0]
    return Version(
        archive=official_file(version.archive.name, (packed / version.archive.name).read_bytes()),
        folder=version.folder,
        train=tuple(official_file(file.name, contents[file.name], algorithm) for file in version.train),
        test=tuple(official_file(file.name, contents[file.name], algorithm) for file in version.test),
    )


@pytest.fixture(params=[Cifar10, Cifar100], ids=["cifar10", "cifar100"])
def tiny_cifar(request, tmp_path) -> TinyCifar:
    return write_tiny_cifar(request.param, tmp_path)


@pytest.fixture
def tiny_cifar10(tmp_path) -> TinyCifar:
    return write_tiny_cifar(Cifar10, tmp_path)


@pytest.fixture
def cifar10_in_another_order(tmp_path) -> TinyCifar:
    return write_tiny_cifar(Cifar10, tmp_path, shuffle_python=True)


@pytest.fixture
def pickled():
    return python2_pickle


def write_photo_tree(root: Path, *, classes: int = 4, train: int = 10, val: int = 5) -> None:
    """Write class folders of JPEG files: crops of the two photographs that scikit-learn ships."""
    photographs = load_sample_images().images
    rng = np.random.default_rng(0)
    for part, count in (("train", train), ("val", val)):
        for kind in range(classes):
            folder = root / part / f"n{kind:08}"
            folder.mkdir(parents=True)
            for i in range(count):
                y, x = rng.integers(0, 427 - 96), rng.integers(0, 640 - 128)
                crop = photographs[kind % 2][y : y + 96 - kind, x : x + 128 - i]
                Image.fromarray(crop).save(folder / f"{part}_{i}.JPEG", quality=90)


@pytest.fixture
def photo_tree(tmp_path) -> Path:
    """Write 40 training and 20 validation images of 4 classes, and return their folder."""
    write_photo_tree(tmp_path / "photos")
    return tmp_path / "photos"
