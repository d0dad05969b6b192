"""The distribution: the content of its wheel, the pins of its constraints, and their use away from the source tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "models", "reports", "workloads")
PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[0-9][A-Za-z0-9.]*)(?P<marker>; .+)?")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the tree, tests beside the packages, so that nothing stale in the tree can get into a wheel."""
    folder = tmp_path_factory.mktemp("source")
    unwanted = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for package in (*PACKAGES, "tests/unit"):
        shutil.copytree(ROOT / package, folder / package, ignore=unwanted)
    for file in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / file, folder)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel from the copy, without an index."""
    out = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(out)]
    # What building leaves in the tree must not be looked for in the wheel.
    build = shutil.copytree(source, tmp_path_factory.mktemp("build") / "tree")
    built = subprocess.run([*command, str(build)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def unpacked(wheel: zipfile.ZipFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the wheel's files to where an installation would put them."""
    folder = tmp_path_factory.mktemp("site")
    wheel.extractall(folder)
    return folder


def run_away_from_the_tree(unpacked: Path, empty: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in an empty folder with the unpacked wheel ahead of any other installation."""
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_holds_every_file_of_the_packages_unchanged(wheel: zipfile.ZipFile, source: Path) -> None:
    in_tree = {
        path.relative_to(source).as_posix(): path.read_bytes()
        for package in PACKAGES
        for path in (source / package).rglob("*")
        if path.is_file()
    }
    assert {"workloads/digits.yaml", "reports/output/templates/index.html.j2", "harness/py.typed"} <= set(in_tree)
    assert sorted(set(in_tree) - set(wheel.namelist())) == []
    assert [name for name, content in in_tree.items() if wheel.read(name) != content] == []


def test_the_wheel_holds_the_four_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    top_level = {name.split("/")[0] for name in wheel.namelist()}
    assert top_level == {*PACKAGES, "resnet_harness-0.1.0.dist-info"}


def test_the_wheel_names_its_licence_and_carries_the_text(wheel: zipfile.ZipFile) -> None:
    metadata = message_from_bytes(wheel.read("resnet_harness-0.1.0.dist-info/METADATA"))
    assert metadata["License-Expression"] == "Apache-2.0"
    text = wheel.read("resnet_harness-0.1.0.dist-info/licenses/LICENSE").decode()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_unpacked_wheel_answers_for_help_in_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    answer = run_away_from_the_tree(unpacked, tmp_path, "-m", "harness", "--help")
    assert answer.returncode == 0, answer.stderr
    for command in ("plan", "run", "report"):
        assert re.search(rf"\b{command}\b", answer.stdout), command


def test_the_unpacked_wheel_finds_its_own_workload_file_in_an_empty_folder(
    unpacked: Path, source: Path, tmp_path: Path
) -> None:
    code = "import importlib.resources as r; print(r.files('workloads') / 'digits.yaml')"
    answer = run_away_from_the_tree(unpacked, tmp_path, "-c", code)
    assert answer.stdout.strip() == str(unpacked / "workloads" / "digits.yaml"), answer.stderr
    assert Path(answer.stdout.strip()).read_bytes() == (source / "workloads/digits.yaml").read_bytes()


def test_the_installed_command_answers_for_help(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("harness")
    answer = subprocess.run([command, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert "Usage: harness" in re.sub(r"\x1b\[[0-9;]*m", "", answer.stdout)


def pins() -> list[re.Match[str]]:
    """Return each line of the constraints file, read as a pin."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [(line, PIN.fullmatch(line)) for line in lines]
    assert [line for line, pin in found if pin is None] == []
    return [pin for _, pin in found if pin is not None]


def test_every_line_of_the_constraints_is_a_name_and_a_version_without_address_or_local_build() -> None:
    names = [canonicalize_name(pin["name"]) for pin in pins()]
    assert len(names) == len(set(names)), "a name is pinned twice"
    assert "resnet-harness" not in names


def test_every_dependency_is_pinned_to_a_version_that_its_requirement_allows() -> None:
    versions = {canonicalize_name(pin["name"]): pin["version"] for pin in pins()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [text for group in project["optional-dependencies"].values() for text in group]
    for requirement in map(Requirement, [*project["dependencies"], *extras]):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not pinned"
        assert version in requirement.specifier, f"{requirement} does not allow the pin {version}"
