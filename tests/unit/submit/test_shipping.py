"""The files that travel with a job, and their use by its driver."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from harness.errors import HarnessError
from harness.package import PACKAGES, code_files, git_state
from harness.submit import code_archive, driver, pins

ROOT = Path(__file__).parents[3]


def test_the_same_code_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code_archive.write_code(tmp_path / "one.zip", {})
    monkeypatch.chdir(tmp_path)
    code_archive.write_code(tmp_path / "two.zip", {})
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_every_file_that_git_keeps_of_the_packages_is_shipped() -> None:
    kept = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(kept.stdout.split()) <= set(code_files())


def test_no_compiled_file_is_shipped_and_all_is_small(tmp_path: Path) -> None:
    assert not [name for name in code_files() if name.endswith(".pyc")]
    code_archive.write_code(tmp_path / "code.zip", {})
    assert (tmp_path / "code.zip").stat().st_size < 2**20


def test_something_large_among_the_packages_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_archive, "MAX_BYTES", 1000)
    with pytest.raises(HarnessError, match=r"the largest file is \w+/"):
        code_archive.write_code(tmp_path / "code.zip", {})


def test_shipped_code_runs_where_nothing_is_installed_and_knows_its_commit(tmp_path: Path) -> None:
    code_archive.write_code(tmp_path / "code.zip", {"git_commit": "abc", "git_dirty": False})
    zipfile.ZipFile(tmp_path / "code.zip").extractall(tmp_path / "code")
    assert git_state(tmp_path / "code" / "harness") == {"git_commit": "abc", "git_dirty": False}
    found = subprocess.run(
        [sys.executable, "-c", "import harness.workload.load as w; print(w.__file__)"],
        cwd=tmp_path / "code",
        env={"PYTHONPATH": str(tmp_path / "code")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.startswith(str(tmp_path / "code"))


def test_the_driver_takes_the_secret_and_leaves_none_behind(tmp_path: Path) -> None:
    sealed = driver.write_payload(tmp_path, submission_id="id", workload="name: x", environment={"KEY": "planted"})
    assert driver.open_payload(sealed) == {"KEY": "planted"}
    assert not [path for path in sealed.iterdir() if "planted" in path.read_text()]


@pytest.mark.parametrize("lacking", ["torch", "python"])
def test_a_driver_that_cannot_run_takes_the_secret_off_the_disk_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    sealed = driver.write_payload(tmp_path, submission_id="id", workload="name: x", environment={"KEY": "planted"})
    monkeypatch.setattr(driver, "_find_payload", lambda: sealed)
    if lacking == "python":
        monkeypatch.setattr(driver.sys, "version_info", (3, 9, 0))
    else:
        monkeypatch.setattr(driver, "NEEDED", ("no_such_package",))
    with pytest.raises(SystemExit, match="submit with --pip" if lacking == "torch" else "Python 3.11 or newer"):
        driver.main(["run", "--storage", str(tmp_path)])
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "planted" in path.read_text()]


def test_the_workers_get_the_code_but_not_the_parcel() -> None:
    config = {"runtime_env": {"working_dir": "gcs://code.zip", "py_modules": ["gcs://payload.zip"]}, "metadata": {}}
    environment = {driver.JOB_CONFIG: json.dumps(config)}
    driver.keep_from_workers(environment)
    assert json.loads(environment[driver.JOB_CONFIG])["runtime_env"] == {"working_dir": "gcs://code.zip"}


def test_without_rays_settings_nothing_is_taken_out() -> None:
    environment: dict[str, str] = {}
    driver.keep_from_workers(environment)
    assert environment == {}


def test_the_driver_becomes_the_run_with_the_environment_that_was_sent(tmp_path: Path) -> None:
    """A stand-in for the harness prints its arguments, the sent variable and its folder."""
    driver.write_payload(tmp_path, submission_id="id", workload="name: x", environment={"KEY": "planted"})
    storage = tmp_path / "storage"
    (storage / "harness").mkdir(parents=True)  # must not take precedence over the shipped one
    (tmp_path / "stub" / "harness").mkdir(parents=True)
    (tmp_path / "stub" / "harness" / "__main__.py").write_text(
        "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['KEY'], os.getcwd()]))"
    )
    done = subprocess.run(
        [sys.executable, "-m", "harness.submit.driver", "run", "--storage", str(storage)],
        env={"PYTHONPATH": f"{tmp_path / 'stub'}:{tmp_path}", "PATH": ""},
        cwd=ROOT,  # the driver itself is the real one
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    workload = str(tmp_path / "harness_job" / "workload.yaml")
    assert json.loads(done.stdout) == [["run", "--storage", str(storage), workload], "planted", str(storage)]


def test_pins_are_the_versions_here_without_ray_and_without_a_local_build() -> None:
    pinned = dict(line.split("==") for line in pins.pinned_requirements())
    assert "ray" not in pinned
    assert "resnet-harness" not in pinned
    for name in ("torch", "mlflow", "numpy", "typer", "pyyaml"):
        assert pinned[name] == metadata.version(name).partition("+")[0]
    assert "aiohttp" in pinned  # needed by the extra of ray[default] alone
    assert "pytest" not in pinned
