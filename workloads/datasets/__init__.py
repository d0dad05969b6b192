"""Data sets by name. A new data set is a small file beside this one and an entry here."""

from workloads.datasets.cifar import Cifar10, Cifar100
from workloads.datasets.digits import Digits
from workloads.datasets.fashion_mnist import FashionMnist
from workloads.datasets.imagenet import ImageNet
from workloads.datasets.spec import DatasetSpec
from workloads.datasets.synthetic import Synthetic

DATASETS: dict[str, type[DatasetSpec]] = {
    dataset.name: dataset for dataset in (Digits, FashionMnist, Cifar10, Cifar100, ImageNet, Synthetic)
}
"""Data set name in a workload file -> its settings."""
