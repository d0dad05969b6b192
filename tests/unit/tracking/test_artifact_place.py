"""Local places of files: the project's own and those of a shared database may be written, an outdated one may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.tracking.artifact_place import location_of_run, misplaced


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    (folder / "mlruns" / "1").mkdir(parents=True)
    (folder / "mlflow.db").write_text("a database")
    monkeypatch.chdir(folder)
    return folder


def uri_of(folder: Path, name: str = "mlflow.db") -> str:
    return f"sqlite:///{folder / name}"


@pytest.mark.parametrize("location", ["s3://bucket/x", "mlflow-artifacts:/1", "ftp://h/x", "https://h/x"])
def test_an_address_is_no_folder(project: Path, location: str) -> None:
    assert misplaced(location, uri_of(project)) is None


def test_the_projects_own_folder_may_be_written_before_it_exists(project: Path) -> None:
    for location in (f"{project}/mlruns/1", f"{project}/mlruns/2", f"file://{project}/mlruns/1"):
        assert misplaced(location, uri_of(project)) is None


def test_a_shared_databases_first_folder_may_be_written_from_another(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shared = tmp_path / "databases"
    shared.mkdir()
    (shared / "mlflow.db").write_text("a database")
    (project / "mlflow.db").unlink()
    assert misplaced(f"{project}/mlruns/1", uri_of(shared)) is None
    assert misplaced(f"{project}/mlruns/2", uri_of(shared)) is None


def test_a_place_that_the_user_named_for_the_experiment_may_be_written(project: Path, tmp_path: Path) -> None:
    assert misplaced(f"{tmp_path}/files/new", uri_of(project)) is None


@pytest.mark.parametrize("old", ["/old/place/mlruns/1", "file:///old/a%20place/mlruns/1"])
def test_the_place_before_a_move_is_named(project: Path, old: str) -> None:
    fault = misplaced(old, uri_of(project))
    assert fault is not None
    assert "place/mlruns/1 is not there" in fault
    assert f"ln -s {project}/mlruns " in fault


def test_the_place_before_a_move_is_also_named_where_an_empty_folder_is_left(project: Path, tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    assert "is not there" in str(misplaced(f"{tmp_path}/left/mlruns/1", uri_of(project)))


def test_a_server_elsewhere_that_names_a_folder_of_its_own_machine_is_named() -> None:
    fault = str(misplaced("/srv-of-the-server/mlruns/1", "http://tracking.example:5000"))
    assert "/srv-of-the-server/mlruns/1 is not there: the server names a folder of its own machine" in fault


@pytest.mark.parametrize("name", ["mlflow.db", "runs.db"])
def test_the_original_of_a_copy_is_named(project: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a database")
    (project / name).write_text("a database")
    fault = misplaced(f"{tmp_path}/mlruns/1", uri_of(project, name))
    assert fault is None or "is not there" in fault  # nothing was written there yet, and the copy's folder exists
    (tmp_path / "mlruns" / "1").mkdir(parents=True)
    assert f"belongs to {tmp_path}/{name}" in str(misplaced(f"{tmp_path}/mlruns/1", uri_of(project, name)))


def test_a_database_that_is_reached_by_a_link_is_no_copy(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "mlflow.db").symlink_to(project / "mlflow.db")
    monkeypatch.chdir(other)
    assert misplaced(f"{project}/mlruns/1", uri_of(other)) is None


def test_the_place_of_a_run_is_that_of_its_experiment() -> None:
    assert location_of_run("/p/mlruns/1/abc/artifacts", "abc") == "/p/mlruns/1"
    assert location_of_run("s3://b/x/abc/artifacts", "abc") == "s3://b/x"
