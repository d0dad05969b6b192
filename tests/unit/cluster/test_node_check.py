"""Checks that each node of a cluster can do its part, made on the nodes' own answers."""

from __future__ import annotations

from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from harness.cluster.node_check import (
    NodeCheckRequest,
    NodeCheckResult,
    absences,
    check_node,
    driver_file,
    node_file,
    raise_on_failures,
    versions,
)
from harness.errors import ExitCode, HarnessError, Infeasible, StorageError
from workloads.datasets.cifar import Cifar10
from workloads.datasets.digits import Digits
from workloads.datasets.imagenet import ImageNet
from workloads.datasets.spec import DatasetSpec

EXPECTED = {"python": "3.11.7", "torch": "2.9.0"}
FIT = NodeCheckResult(versions=EXPECTED, storage_fault=None, absent=())


def call(storage: Path, *datasets: DatasetSpec) -> NodeCheckRequest:
    return NodeCheckRequest(storage=storage, token="token", datasets=datasets)


def refusal(answers: dict[str, NodeCheckResult], **unseen: bool) -> HarnessError:
    seen = dict.fromkeys(answers, True) | unseen
    with pytest.raises(HarnessError) as caught:
        raise_on_failures(answers, EXPECTED, seen)
    return caught.value


def test_nodes_that_are_all_alike_pass() -> None:
    raise_on_failures({"a": FIT, "b": FIT}, EXPECTED, {"a": True, "b": True})


def test_the_node_with_another_version_is_named_with_both_versions() -> None:
    error = refusal({"a": FIT, "b (10.0.0.2)": replace(FIT, versions={"python": "3.11.7", "torch": "2.8.0"})})
    assert isinstance(error, Infeasible)
    assert error.exit_code is ExitCode.INFEASIBLE
    assert str(error).startswith("node b (10.0.0.2): torch is 2.8.0, on the driver's node 2.9.0")
    assert "node a" not in str(error)


def test_what_a_node_lacks_is_said_so() -> None:
    assert "torch is not installed" in str(refusal({"a": replace(FIT, versions={"python": "3.11.7", "torch": None})}))


def test_a_node_that_writes_to_a_folder_of_its_own_is_named() -> None:
    error = refusal({"a": FIT, "b": FIT}, b=False)
    assert isinstance(error, StorageError)
    assert str(error) == (
        "node b: the storage folder is not the one that the driver sees; --storage must be a shared one"
    )


def test_data_that_a_node_lacks_are_named_with_it() -> None:
    error = refusal({"a": replace(FIT, absent=("/data holds no cifar10",)), "b": FIT})
    assert str(error) == "node a, as every node, must see the data at one path: /data holds no cifar10"
    assert error.exit_code is ExitCode.USAGE


def test_a_node_whose_interpreter_ray_cannot_start_is_named() -> None:
    error = refusal({"a": replace(FIT, python="/home/u/my venv/bin/python"), "b": FIT})
    assert str(error).startswith("node a: Ray cannot start our workers by /home/u/my venv/bin/python")


def test_of_many_nodes_three_are_named() -> None:
    error = refusal({f"n{index}": replace(FIT, storage_fault="full") for index in range(40)})
    assert str(error).splitlines() == ["node n0: full", "node n1: full", "node n2: full", "and 37 nodes more"]


def test_a_node_that_sees_the_drivers_file_leaves_its_own(tmp_path: Path) -> None:
    questions = call(tmp_path)
    driver_file(tmp_path).write_text("token")
    assert check_node(questions, "n1").storage_fault is None
    assert node_file(questions, "n1").exists()


def test_a_node_without_the_drivers_file_has_another_folder_or_none(tmp_path: Path) -> None:
    assert "No such file" in str(check_node(call(tmp_path / "missing"), "n1").storage_fault)
    driver_file(tmp_path).write_text("of another run")
    assert "is not the one that the driver sees" in str(check_node(call(tmp_path), "n1").storage_fault)
    assert not list(tmp_path.glob(".preflight-token*"))


def test_a_node_looks_for_each_data_set(tmp_path: Path) -> None:
    driver_file(tmp_path).write_text("token")
    (fault,) = check_node(call(tmp_path, Digits(), Cifar10(root=str(tmp_path))), "n1").absent
    assert fault.startswith(f"{tmp_path} holds no cifar10: looked for cifar-10-binary.tar.gz")


def test_a_node_whose_code_is_another_one_is_told_by_its_version(tmp_path: Path) -> None:
    """Older code may be unable to look for the data; its answer still counts."""

    class Newer:
        """A newer specification as an older installation sees it."""

    driver_file(tmp_path).write_text("token")
    strange: Any = Newer()
    answer = replace(check_node(call(tmp_path, strange), "n1"), versions={"python": "3.11.7", "torch": "2.8.0"})
    assert answer.absent[0].startswith("its data cannot be looked for: AttributeError")
    assert isinstance(refusal({"a": answer}), Infeasible)


def test_data_sets_without_files_and_those_behind_urls_are_not_looked_for() -> None:
    assert absences([Digits(), Cifar10(root="s3://bucket/cifar"), ImageNet(root="s3://bucket/imagenet")]) == ()


def test_versions_are_those_of_the_installed_distributions_and_of_the_code() -> None:
    found = versions()
    assert {name: found[name] for name in ("torch", "ray", "mlflow")} == {
        name: metadata.version(name) for name in ("torch", "ray", "mlflow")
    }
    assert "code " in str(found["resnet-harness"])
