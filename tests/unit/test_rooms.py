"""Who may know whom: the import contracts bite, and what should stay light loads nothing heavy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "models", "reports", "workloads")
HEAVY = frozenset({"torch", "torchvision", "ray", "mlflow", "pandas", "scipy", "sklearn", "matplotlib"})

# One forbidden line for each sentence: where it is put, the line, and the contract that must break.
TRESPASSES = [
    ("models/spec.py", "import workloads", "models know torch alone"),
    ("models/spec.py", "import harness.errors", "models know torch alone"),
    ("models/spec.py", "import numpy", "models know torch alone"),
    ("workloads/recipes.py", "import models", "workloads know torch and numpy alone"),
    ("workloads/recipes.py", "import harness.errors", "workloads know torch and numpy alone"),
    ("reports/__init__.py", "import harness.trial", "reports know schema, errors and tracking.results alone"),
    ("reports/__init__.py", "import models", "reports know schema, errors and tracking.results alone"),
    ("reports/__init__.py", "import torch", "reports need neither torch nor Ray"),
    ("harness/schema.py", "import torch", "reports need neither torch nor Ray"),
    ("harness/engine/__init__.py", "import harness.tracking", "engine and measure know neither cluster nor tracking"),
    ("harness/engine/__init__.py", "import harness.cluster", "engine and measure know neither cluster nor tracking"),
    ("harness/measure/__init__.py", "import harness.cluster", "engine and measure know neither cluster nor tracking"),
    ("harness/measure/__init__.py", "import mlflow", "engine and measure know neither cluster nor tracking"),
    ("harness/engine/__init__.py", "import ray", "only cluster imports Ray"),
    ("harness/cluster/__init__.py", "import mlflow", "only tracking imports MLflow"),
    ("harness/engine/__init__.py", "import pynvml", "only measure imports NVML"),
    ("harness/plan.py", "import harness.cli", "nothing imports the command line"),
    ("harness/errors.py", "import pydantic", "errors import nothing"),
    ("harness/errors.py", "import harness.schema", "errors import nothing"),
    ("harness/schema.py", "import pandas", "the schema imports nothing heavy"),
    ("harness/trial.py", "import torch", "the pure modules import nothing heavy"),
    ("reports/claims.py", "import matplotlib", "claims and statistics import nothing heavy"),
]


def broken_contracts(tree: Path) -> list[str]:
    """The names that lint-imports reports as broken."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    said = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert "Contracts: " in said.stdout, said.stdout + said.stderr
    return [line.partition(" BROKEN")[0] for line in said.stdout.splitlines() if " BROKEN" in line]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the four packages and the contracts."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_no_room_knows_one_that_it_may_not(tree: Path) -> None:
    assert broken_contracts(tree) == []


@pytest.mark.parametrize(("file", "line", "contract"), TRESPASSES)
def test_one_forbidden_import_breaks_the_contract_that_forbids_it(
    tree: Path, file: str, line: str, contract: str
) -> None:
    with (tree / file).open("a") as source:
        source.write(f"\n{line}\n")
    assert contract in broken_contracts(tree)


def test_every_contract_is_shown_to_bite() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert {contract["name"] for contract in settings["contracts"]} == {contract for _, _, contract in TRESPASSES}


def loaded_by(*modules: str) -> set[str]:
    """Top-level names that a fresh interpreter has loaded after importing these modules."""
    code = f"import json, sys; import {', '.join(modules)}; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return {name.split(".")[0] for name in json.loads(answer.stdout)}


@pytest.mark.parametrize(
    "module",
    [
        "harness.cli",
        "harness.errors",
        "harness.events",
        "harness.matrix",
        "harness.plan",
        "harness.schema",
        "harness.trial",
        "harness.workload",
        "models",
        "workloads.datasets",
        "workloads.recipes",
    ],
)
def test_what_should_stay_light_loads_no_heavy_library(module: str) -> None:
    assert loaded_by(module) & HEAVY == set()


@pytest.mark.parametrize("module", ["reports.claims", "reports.measurement", "reports.power"])
def test_claims_and_statistics_load_neither_mlflow_nor_a_plotting_library(module: str) -> None:
    assert loaded_by(module) & {"torch", "ray", "mlflow", "matplotlib", "jinja2"} == set()


@pytest.mark.parametrize("module", ["harness.cluster.group_host", "harness.cluster.outbox_queue"])
def test_what_starts_worker_groups_does_not_load_torch(module: str) -> None:
    """Nor does what Ray Train's controllers are sent, since it comes from here."""
    assert loaded_by(module) & {"torch", "mlflow", "torchvision"} == set()


def test_the_reports_load_neither_torch_nor_ray() -> None:
    modules = [f"reports.{path.stem}" for path in sorted((ROOT / "reports").glob("*.py")) if path.stem != "__init__"]
    loaded = loaded_by(*modules, "harness.tracking.results")
    assert loaded & {"torch", "torchvision", "ray", "sklearn"} == set()
