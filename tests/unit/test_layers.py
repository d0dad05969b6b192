"""The layers: import contracts find what they forbid, and light modules load no heavy library."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "models", "reports", "workloads")
HEAVY = frozenset({"torch", "torchvision", "ray", "mlflow", "pandas", "scipy", "sklearn", "matplotlib"})

LAYERS = "harness has layers"
# One forbidden import for each rule: the file that gets it, the module that it imports, and the contract that must
# report it.
TRESPASSES = [
    ("models/spec.py", "workloads", "models know torch alone"),
    ("models/checks.py", "harness.errors", "models know torch alone"),
    ("models/zfnet.py", "numpy", "models know torch alone"),
    ("workloads/recipes.py", "models", "workloads know torch and numpy alone"),
    ("workloads/schedule.py", "harness.errors", "workloads know torch and numpy alone"),
    ("reports/stats/power.py", "harness.trial", "reports know schema, errors and tracking.results alone"),
    ("reports/stats/inference.py", "models", "reports know schema, errors and tracking.results alone"),
    ("reports/figures/svg.py", "torch", "reports need neither torch nor Ray"),
    ("harness/schema.py", "ray", "reports need neither torch nor Ray"),
    ("harness/engine/batches.py", "harness.tracking", LAYERS),
    ("harness/engine/failure.py", "harness.cluster", LAYERS),
    ("harness/measure/energy.py", "harness.cluster", LAYERS),
    ("harness/cluster/sweep.py", "harness.launch", LAYERS),
    ("harness/scheduling/queue.py", "harness.worker_loop", LAYERS),
    ("harness/planning/plan.py", "harness.cli", LAYERS),
    ("harness/errors.py", "harness.schema", LAYERS),
    ("harness/engine/step.py", "ray", "only cluster imports Ray"),
    ("harness/cluster/actor.py", "mlflow", "only tracking imports MLflow"),
    ("harness/engine/views.py", "pynvml", "only measure imports NVML"),
    ("harness/errors.py", "pydantic", "errors and the schema import nothing"),
    ("harness/schema.py", "pandas", "errors and the schema import nothing"),
    ("harness/trial.py", "torch", "scheduling and planning import nothing heavy"),
    ("harness/scheduling/feasibility.py", "ray", "scheduling and planning import nothing heavy"),
    ("reports/claims/registry.py", "matplotlib", "claims and statistics import nothing heavy"),
]


def report_of(tree: Path) -> dict[str, str]:
    """Return the broken contracts of a tree: name -> lint-imports' text about it."""
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(
        command, cwd=tree, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"}
    )
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    _, _, details = done.stdout.partition("Broken contracts")
    found = re.split(r"\n(.+)\n-+\n", details)
    return dict(zip(found[1::2], found[2::2], strict=True))


@pytest.fixture(scope="module")
def trespassed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the report on a copy of the four packages with every forbidden import added to its file."""
    tree = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    for file, module, _ in TRESPASSES:
        with (tree / file).open("a") as source:
            source.write(f"\nimport {module}\n")
    return report_of(tree)


def test_no_package_imports_one_that_it_may_not() -> None:
    assert report_of(ROOT) == {}


@pytest.mark.parametrize(("file", "module", "contract"), TRESPASSES)
def test_one_forbidden_import_is_named_by_the_contract_that_forbids_it(
    trespassed: dict[str, str], file: str, module: str, contract: str
) -> None:
    importer = file.removesuffix(".py").replace("/", ".")
    [broken] = [text for name, text in trespassed.items() if name.startswith(contract)]
    assert re.search(rf"\b{re.escape(importer)} -> {re.escape(module)}\b", broken), broken


def test_every_contract_is_shown_to_bite() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert {contract["name"] for contract in settings["contracts"]} == {contract for _, _, contract in TRESPASSES}


LIGHT = [
    "harness.cli.main",
    "harness.errors",
    "harness.events",
    "harness.workload.matrix",
    "harness.planning.plan",
    "harness.schema",
    "harness.trial",
    "harness.workload.load",
    "models",
    "workloads.datasets",
    "workloads.recipes",
]
LOADED = """
import importlib, json, sys
names = {}
for module in sys.argv[1:]:
    importlib.import_module(module)
    names[module] = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps(names))
"""


def loaded_by(*modules: str) -> dict[str, set[str]]:
    """Return module -> top-level names that a fresh interpreter has loaded after importing it and those before it."""
    answer = subprocess.run(
        [sys.executable, "-c", LOADED, *modules], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return {module: set(names) for module, names in json.loads(answer.stdout).items()}


@pytest.fixture(scope="module")
def loaded_by_light() -> dict[str, set[str]]:
    return loaded_by(*LIGHT)


@pytest.mark.parametrize("module", LIGHT)
def test_what_should_stay_light_loads_no_heavy_library(module: str, loaded_by_light: dict[str, set[str]]) -> None:
    assert loaded_by_light[module] & HEAVY == set()


def test_claims_and_statistics_load_neither_mlflow_nor_a_plotting_library() -> None:
    for names in loaded_by("reports.claims.registry", "reports.claims.measurement", "reports.stats.power").values():
        assert names & {"torch", "ray", "mlflow", "matplotlib", "jinja2"} == set()


def test_what_starts_worker_groups_does_not_load_torch() -> None:
    """Neither does the code sent to Ray Train's controllers, since it comes from these modules."""
    for names in loaded_by("harness.cluster.controller_hosts", "harness.cluster.outbox_queue").values():
        assert names & {"torch", "mlflow", "torchvision"} == set()


def test_the_reports_load_neither_torch_nor_ray() -> None:
    files = sorted((ROOT / "reports").rglob("*.py"))
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files]
    names = loaded_by(*modules, "harness.tracking.results")["harness.tracking.results"]
    assert names & {"torch", "torchvision", "ray", "sklearn"} == set()
