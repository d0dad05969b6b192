"""Files of the user in the current folder, with the names of packages of ours or of others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness import without_current_folder
from tests.support.environment import bare_environment

ROOT = Path(__file__).parents[3]
HARNESS = Path(sys.executable).with_name("harness")
MODULE = (sys.executable, "-m", "harness")


def plant(folder: Path, *names: str) -> None:
    """Write packages and modules that fail if they are imported."""
    for name in names:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise SystemExit('the file of the user was imported')\n")


@pytest.mark.parametrize(
    ("command", "names", "python_path"),
    [
        (MODULE, ("models/__init__.py", "workloads/__init__.py"), str(ROOT)),
        (MODULE, ("json.py", "typer.py"), str(ROOT)),
        ((str(HARNESS),), ("models/__init__.py",), f":{ROOT}"),
        ((str(HARNESS),), ("models/__init__.py", "harness.py", "json.py"), str(ROOT)),
    ],
)
def test_a_command_imports_nothing_from_the_folder_where_it_is_given(
    command: tuple[str, ...], names: tuple[str, ...], python_path: str, tmp_path: Path
) -> None:
    """Only a process of its own has the search path that Python makes for a command."""
    plant(tmp_path, *names)
    done = subprocess.run(
        [*command, "list", "models"],
        cwd=tmp_path,
        env=bare_environment(PYTHONPATH=python_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "resnet_cifar" in done.stdout


def test_the_folder_of_our_packages_stays_on_the_search_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    assert without_current_folder(["", str(ROOT), "/usr/lib/python3"]) == ["", str(ROOT), "/usr/lib/python3"]
    monkeypatch.chdir(tmp_path)
    assert without_current_folder(["", ".", str(tmp_path), str(ROOT)]) == [str(ROOT)]
