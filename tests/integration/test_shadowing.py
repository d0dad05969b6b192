"""A sweep on Ray from a folder in which the user has files with the names of our packages."""

from __future__ import annotations

from typing import Any

import pytest

from harness.schema import Outcome

pytestmark = pytest.mark.integration


def test_no_worker_of_ray_imports_from_the_folder_where_the_command_is_given(local_bench: Any) -> None:
    for name in ("models", "workloads", "pandas"):
        (local_bench.folder / name).mkdir()
        local_bench.write("raise RuntimeError('the file of the user was imported')\n", f"{name}/__init__.py")
    local_bench.write("name: small\ndataset: digits\nmatrix: {model: resnet_cifar, depth: 8, width: 8}\nseeds: 1\n"
                "recipe: {name: quick, epochs: 1}\n")  # fmt: skip
    local_bench.run("run", "small.yaml", "--no-report")
    assert [ended.outcome for ended in local_bench.ends()] == [Outcome.FINISHED]
