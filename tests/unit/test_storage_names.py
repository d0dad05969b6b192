"""Names become paths below the folder that the user named, and nowhere else."""

from __future__ import annotations

import ast
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


def test_no_other_code_makes_a_path_of_a_name() -> None:
    """`folder / thing.name` is allowed for the names of files that are listed in this source."""
    allowed = {"harness/cli/data.py: folder / remote.file.name"}
    found = set()
    for path in [*(ROOT / "harness").rglob("*.py"), *(ROOT / "reports").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)):
                continue
            attributes = {part.attr for part in ast.walk(node.right) if isinstance(part, ast.Attribute)}
            if attributes & {"name", "label", "sweep_id", "trial_id"}:
                found.add(f"{path.relative_to(ROOT)}: {ast.unparse(node)}")
    assert found == allowed
