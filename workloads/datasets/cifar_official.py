"""Which files the official CIFAR archives are, and what is in them: names and digests, known in advance.

The digests of the archives are printed on the sets' page, https://www.cs.toronto.edu/~kriz/cifar.html. Those of the
unpacked files are not: for the Python version they are torchvision's, for the binary version Apache MXNet's (Gluon).
"""

from __future__ import annotations

from dataclasses import dataclass

from workloads.datasets.files import digest_of

PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"


@dataclass(frozen=True, kw_only=True)
class Version:
    """One official archive and the files in it."""

    archive: str
    digest: str
    """Of the archive: `md5:...`."""
    folder: str
    """In the archive, and where it is unpacked."""
    train: dict[str, str]
    """File -> digest, in the order of the images."""
    test: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Official:
    """Both archives of one set: they hold the same images and labels in the same order."""

    binary: Version
    python: Version
    coarse: bool
    """Whether a coarse label stands before each label."""

    def fingerprint(self) -> str:
        """Of all images and labels in order, whichever archive they come from.

        The binary version's files are nothing but records of labels and pixels, so their digests are those of the
        images; what is read from the Python version is held against the same digests.
        """
        return digest_of(*self.binary.train.values(), *self.binary.test.values())


CIFAR10 = Official(
    coarse=False,
    binary=Version(
        archive="cifar-10-binary.tar.gz",
        digest="md5:c32a1d4ab5d03f1284b67883e8d87530",
        folder="cifar-10-batches-bin",
        train={
            "data_batch_1.bin": "sha1:aadd24acce27caa71bf4b10992e9e7b2d74c2540",
            "data_batch_2.bin": "sha1:c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
            "data_batch_3.bin": "sha1:1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
            "data_batch_4.bin": "sha1:aab85764eb3584312d3c7f65fd2fd016e36a258e",
            "data_batch_5.bin": "sha1:26e2849e66a845b7f1e4614ae70f4889ae604628",
        },
        test={"test_batch.bin": "sha1:67eb016db431130d61cd03c7ad570b013799c88c"},
    ),
    python=Version(
        archive="cifar-10-python.tar.gz",
        digest="md5:c58f30108f718f92721af3b95e74349a",
        folder="cifar-10-batches-py",
        train={
            "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
            "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
            "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
        },
        test={"test_batch": "md5:40351d587109b95175f43aff81a1287e"},
    ),
)

CIFAR100 = Official(
    coarse=True,
    binary=Version(
        archive="cifar-100-binary.tar.gz",
        digest="md5:03b5dce01913d631647c71ecec9e9cb8",
        folder="cifar-100-binary",
        train={"train.bin": "sha1:e207cd2e05b73b1393c74c7f5e7bea451d63e08e"},
        test={"test.bin": "sha1:8fb6623e830365ff53cf14adec797474f5478006"},
    ),
    python=Version(
        archive="cifar-100-python.tar.gz",
        digest="md5:eb9058c3a382ffc7106e4002c42a8d85",
        folder="cifar-100-python",
        train={"train": "md5:16019d7e3df5f24257cddd939b257f8d"},
        test={"test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc"},
    ),
)
