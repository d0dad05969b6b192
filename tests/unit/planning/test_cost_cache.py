"""The cost of a network is counted once for each distinct network and code, and remembered between commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.planning.cost_cache import KnownCost, KnownCosts
from models.resnet_spec import ResNetCifar
from models.spec import ModelSpec
from workloads.datasets.cifar import Cifar10
from workloads.datasets.digits import Digits
from workloads.datasets.spec import DatasetSpec

RESNET_20 = ResNetCifar(depth=20)
COST = KnownCost(params=269_722, norm_params=1_376, macs=40_551_040, train_flops_per_image=242_421_760)


class Counter:
    """A counter that gives the same answer for every network and notes its calls."""

    def __init__(self, answer: KnownCost = COST) -> None:
        self.answer = answer
        self.asked: list[tuple[ModelSpec, DatasetSpec]] = []

    def __call__(self, model: ModelSpec, dataset: DatasetSpec) -> KnownCost:
        self.asked.append((model, dataset))
        return self.answer


def used(folder: Path, *networks: tuple[ModelSpec, DatasetSpec]) -> Counter:
    counter = Counter()
    costs = KnownCosts(folder, counter)
    assert all(costs.count(*network) == COST for network in networks)
    costs.keep()
    return counter


def test_a_network_is_counted_by_the_first_command_and_by_no_later_one(tmp_path: Path) -> None:
    network = RESNET_20, Cifar10()
    assert used(tmp_path / "cache", network, network).asked == [network]
    assert used(tmp_path / "cache", network).asked == []


def test_another_network_or_the_same_on_images_of_another_shape_is_counted(tmp_path: Path) -> None:
    used(tmp_path, (RESNET_20, Cifar10()))
    others = (ResNetCifar(depth=20, shortcut="B"), Cifar10()), (RESNET_20, Digits())
    assert used(tmp_path, *others).asked == list(others)
    assert used(tmp_path, *others, (RESNET_20, Cifar10())).asked == []


def test_counts_of_another_torch_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used(tmp_path, (RESNET_20, Cifar10()))
    monkeypatch.setattr("harness.planning.cost_cache.version", lambda name: f"another {name}")
    assert used(tmp_path, (RESNET_20, Cifar10())).asked


def test_counts_of_other_network_code_are_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used(tmp_path, (RESNET_20, Cifar10()))
    edited = tmp_path / "models"
    edited.mkdir()
    (edited / "blocks.py").write_text("# a stride moved")
    monkeypatch.setattr("models.__path__", [str(edited)])
    assert used(tmp_path, (RESNET_20, Cifar10())).asked


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"a": {}}', '{"a": {"params": -1}}'])
def test_a_file_that_holds_no_counts_is_as_none(tmp_path: Path, content: str) -> None:
    used(tmp_path, (RESNET_20, Cifar10()))
    [file] = tmp_path.iterdir()
    file.write_text(content)
    assert used(tmp_path, (RESNET_20, Cifar10())).asked
    assert len(json.loads(file.read_text())) == 1


def test_a_count_below_nothing_is_not_believed(tmp_path: Path) -> None:
    used(tmp_path, (RESNET_20, Cifar10()))
    [file] = tmp_path.iterdir()
    file.write_text(file.read_text().replace("40551040", "-1"))
    assert used(tmp_path, (RESNET_20, Cifar10())).asked


def test_what_two_commands_count_at_once_is_kept_of_both(tmp_path: Path) -> None:
    first, second = KnownCosts(tmp_path, Counter()), KnownCosts(tmp_path, Counter())
    first.count(RESNET_20, Cifar10())
    second.count(RESNET_20, Digits())
    first.keep()
    second.keep()
    assert used(tmp_path, (RESNET_20, Cifar10()), (RESNET_20, Digits())).asked == []


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_memory(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    used(blocked, (RESNET_20, Cifar10()))
    assert used(blocked, (RESNET_20, Cifar10())).asked
    assert blocked.read_text() == "no folder"


def test_the_real_count_is_remembered_to_the_last_digit(tmp_path: Path) -> None:
    """ResNet-20 with option A: 269,722 parameters and 40,551,040 multiply-accumulates, by layer arithmetic."""
    first = KnownCosts(tmp_path)
    assert first.count(RESNET_20, Cifar10()).params == 269_722
    first.keep()
    remembered = KnownCosts(tmp_path, Counter()).count(RESNET_20, Cifar10())
    assert (remembered.params, remembered.macs) == (269_722, 40_551_040)
