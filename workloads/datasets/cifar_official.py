"""Names and digests of the official CIFAR archives and of their files, known in advance.

The digests of the archives are printed on the sets' page. Those of the unpacked files are not: for the Python version
they are torchvision's, for the binary version Apache MXNet's (Gluon).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from workloads.datasets.files import OfficialFile, digest_of

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"
FOLDER = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True, kw_only=True)
class Version:
    """One official archive and the files in it."""

    archive: OfficialFile
    folder: str
    """Name of the folder in the archive, and of the unpacked folder."""
    train: tuple[OfficialFile, ...]
    """Training files, in the order of the images."""
    test: tuple[OfficialFile, ...]


@dataclass(frozen=True, kw_only=True)
class Official:
    """Both archives of one set: they hold the same images and labels in the same order."""

    name: str
    binary: Version
    python: Version
    label_bytes: int
    """Bytes before the pixels of each image; the last of them is the label, one before it a coarse label."""

    def fingerprint(self) -> str:
        """Return the digest of all images and labels in order, the same for both archives.

        The binary version's files contain only records of labels and pixels, so their digests identify the images. The
        content of the Python version is checked against the same digests.
        """
        return digest_of(*(file.digest for file in (*self.binary.train, *self.binary.test)))


def _files(algorithm: str, names: Iterable[str], digests: str) -> tuple[OfficialFile, ...]:
    """Return files with their digests, which `digests` lists in order."""
    pairs = zip(names, digests.split(), strict=True)
    return tuple(OfficialFile(name=name, digest=f"{algorithm}:{digest}") for name, digest in pairs)


CIFAR10 = Official(
    name="cifar10",
    label_bytes=1,
    binary=Version(
        archive=OfficialFile(
            name="cifar-10-binary.tar.gz", digest="md5:c32a1d4ab5d03f1284b67883e8d87530", size=170_052_171
        ),
        folder="cifar-10-batches-bin",
        train=_files(
            "sha1",
            [f"data_batch_{i}.bin" for i in range(1, 6)],
            """
            aadd24acce27caa71bf4b10992e9e7b2d74c2540
            c0ba65cce70568cd57b4e03e9ac8d2a5367c1795
            1dd00a74ab1d17a6e7d73e185b69dbf31242f295
            aab85764eb3584312d3c7f65fd2fd016e36a258e
            26e2849e66a845b7f1e4614ae70f4889ae604628
            """,
        ),
        test=_files("sha1", ["test_batch.bin"], "67eb016db431130d61cd03c7ad570b013799c88c"),
    ),
    python=Version(
        archive=OfficialFile(
            name="cifar-10-python.tar.gz", digest="md5:c58f30108f718f92721af3b95e74349a", size=170_498_071
        ),
        folder="cifar-10-batches-py",
        train=_files(
            "md5",
            [f"data_batch_{i}" for i in range(1, 6)],
            """
            c99cafc152244af753f735de768cd75f
            d4bba439e000b95fd0a9bffe97cbabec
            54ebc095f3ab1f0389bbae665268c751
            634d18415352ddfa80567beed471001a
            482c414d41f54cd18b22e5b47cb7c3cb
            """,
        ),
        test=_files("md5", ["test_batch"], "40351d587109b95175f43aff81a1287e"),
    ),
)

CIFAR100 = Official(
    name="cifar100",
    label_bytes=2,
    binary=Version(
        archive=OfficialFile(
            name="cifar-100-binary.tar.gz", digest="md5:03b5dce01913d631647c71ecec9e9cb8", size=168_513_733
        ),
        folder="cifar-100-binary",
        train=_files("sha1", ["train.bin"], "e207cd2e05b73b1393c74c7f5e7bea451d63e08e"),
        test=_files("sha1", ["test.bin"], "8fb6623e830365ff53cf14adec797474f5478006"),
    ),
    python=Version(
        archive=OfficialFile(
            name="cifar-100-python.tar.gz", digest="md5:eb9058c3a382ffc7106e4002c42a8d85", size=169_001_437
        ),
        folder="cifar-100-python",
        train=_files("md5", ["train"], "16019d7e3df5f24257cddd939b257f8d"),
        test=_files("md5", ["test"], "f0ef6b0ae62326f3e7ffdfab6717acfc"),
    ),
)
