"""Data sets by name. To add one: a small file beside this one, and an entry here."""

from workloads.datasets.digits import Digits
from workloads.datasets.spec import DatasetSpec

DATASETS: dict[str, type[DatasetSpec]] = {"digits": Digits}
