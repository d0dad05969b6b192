"""Names become paths below the folder that the user named, and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.storage import SweepFolder, child
from harness.tracking.artifacts import trial_file
from harness.tracking.tracker import RejectedError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["digits-9259a421", "resnet 20 A", "a.b-c_d", "größe", "x", "v1.0+cu130"])
def test_a_plain_name_is_the_file_s_name(tmp_path: Path, name: str) -> None:
    assert child(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name",
    [
        "../../evil",
        "/etc/cron.d/x",
        "a/b",
        "..",
        ".",
        "",
        " ",
        ".hidden",
        "a\0b",
        "a\nb",
        "C:\\x",
        "x" * 5000,
        "\udc80",
        "a.",
    ],
)
def test_any_other_name_stays_directly_below_the_folder_and_is_told_from_others(tmp_path: Path, name: str) -> None:
    path = child(tmp_path, name)
    assert path.parent == tmp_path
    path.mkdir()
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path != child(tmp_path, name + "x")


def test_a_trial_id_of_a_stranger_s_outbox_leads_nowhere_else(tmp_path: Path) -> None:
    assert SweepFolder(tmp_path).trial("../../etc").parent == tmp_path / "trials"


def test_an_artifact_that_is_a_link_out_of_its_folder_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("planted")
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "trace-1.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(RejectedError, match="is a link out of"), trial_file(folder, "trace-1.txt"):
        pass


NAMES = {"label", "sweep", "sweep_id", "trial_id"}
JOINS = {"Path", "PurePosixPath", "joinpath", "with_name", "with_stem"}


def parts_of_paths(tree: ast.AST) -> Iterator[tuple[ast.AST, list[ast.expr]]]:
    """Yield each expression that makes a path, with the parts that it adds to a folder."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield node, [node.right]
        elif isinstance(node, ast.Call):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called in JOINS:
                yield node, node.args[1:] if called.endswith("Path") else node.args


def test_no_other_code_makes_a_path_of_a_name() -> None:
    """Allowed are the names of files that our own source lists, and of temporary files beside others."""
    allowed = {
        "harness/cli/data.py: folder / remote.file.name",
        "harness/storage.py: path.with_name(f'.{path.name}.{os.getpid()}.tmp')",
    }
    found = set()
    for path in [*(ROOT / "harness").rglob("*.py"), *(ROOT / "reports").rglob("*.py")]:
        for made, parts in parts_of_paths(ast.parse(path.read_text())):
            inner = [node for part in parts for node in ast.walk(part)]
            used = {node.id for node in inner if isinstance(node, ast.Name)}
            attributes = {node.attr for node in inner if isinstance(node, ast.Attribute)}
            if (used | attributes) & NAMES or "name" in attributes:
                found.add(f"{path.relative_to(ROOT)}: {ast.unparse(made)}")
    assert found == allowed
