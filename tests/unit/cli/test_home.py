"""The user's home stands for `~` wherever a path is given, and no folder gets that name."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.errors import ExitCode
from harness.options import RunOptions
from harness.results.bundle import SAMPLE
from harness.storage import with_home
from tests.unit.cli.conftest import Harness

ROOT = Path(__file__).parents[3]


@pytest.fixture
def home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the user a home below the test's folder, in which no `~` must appear."""
    made = folder / "home"
    made.mkdir()
    monkeypatch.setenv("HOME", str(made))
    monkeypatch.setattr(os, "execve", lambda *_: None)  # no command of a test may take this process's place
    yield made
    assert not list(folder.rglob("~*"))


@pytest.mark.parametrize("out", [("--out", "~/o"), ("--out=~/o",), ("--out=~/./o",)])
def test_a_report_is_written_below_the_home(harness: Harness, home: Path, out: tuple[str, ...]) -> None:
    done = harness("report", "--sample", *out)
    assert done.code == 0, done.err
    assert list(home.glob("o/sample/*/index.html"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("sync", "~/x"),
        ("export", "--tracking-uri", "sqlite:///~/x"),
        ("export", "--tracking-uri=sqlite:////~/x"),
        ("report", "--from", "~/x"),
        ("report", "--sample", "--prices=~/x"),
        ("compare", "~/x", "~/x"),
        ("compare", f"{SAMPLE},~/x", "x"),
        ("plan", "~/x"),
        ("ui", "--tracking-uri", "sqlite:///~/x"),
        ("ensemble", "t1", "--storage=~/x"),
    ],
)
def test_each_command_names_the_path_in_the_home(harness: Harness, home: Path, arguments: tuple[str, ...]) -> None:
    (home / "x").mkdir()
    done = harness(*arguments)
    assert done.code != 0
    assert f"{home}/x" in done.err + done.out


def test_a_folder_is_no_database_that_a_ui_could_show(harness: Harness, home: Path) -> None:
    done = harness("ui", "--tracking-uri", "sqlite:///~")
    assert (done.code, f"there is no database {home}" in done.err) == (2, True)


def test_the_environment_names_paths_in_the_home_too(
    harness: Harness, home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[RunOptions] = []

    def run_sweep_command(options: RunOptions) -> ExitCode:
        found.append(options)
        return ExitCode.OK

    monkeypatch.setitem(sys.modules, "harness.launch.run", SimpleNamespace(run_sweep_command=run_sweep_command))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///~/x.db")
    monkeypatch.setenv("XDG_CACHE_HOME", "~/cache")
    harness("run", "tiny.yaml")
    assert found[0].tracking_uri == f"sqlite:///{home}/x.db"
    assert harness("plan", "tiny.yaml").code == 0
    assert [path.name for path in home.iterdir()] == ["cache"]


def test_another_users_home_is_meant_by_the_name_and_a_word_with_a_tilde_is_a_word(home: Path) -> None:
    import pwd

    root = pwd.getpwuid(0)
    assert with_home(f"~{root.pw_name}/runs") == f"{root.pw_dir.rstrip('/')}/runs"
    for word in ("~me", "a~/b", "~no.such.user/x", "-~/x", ""):
        assert with_home(word) == word


def test_no_other_code_expands_a_home() -> None:
    """The data sets' package knows nothing of the harness, and has its own."""
    allowed = {"harness/storage.py", "workloads/datasets/files.py"}
    found = set()
    for path in (path for package in ("harness", "reports", "workloads") for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "expanduser":
                found.add(path.relative_to(ROOT).as_posix())
    assert found == allowed
