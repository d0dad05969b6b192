"""A bundle: the same results without a server, nothing private, and no undetected damage."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from harness.cli.main import main
from harness.errors import ExitCode, StorageError
from harness.results.anonymize import scrubbed
from harness.results.bundle import SAMPLE, BundleError, read_bundle, write_bundle
from harness.tracking.results import SweepResults
from reports.claims.assessment import assess
from reports.output.render import report_files
from reports.testing.synthetic import synthetic_sweep

PRIVATE = re.compile(r"alpha-gpu|10\.1\.2\.3|/home/ada|/data|mlflow\.example|s3://|node7|beta-9")


def private_sweep() -> SweepResults:
    """Return a sweep with names of hosts, paths and addresses wherever results can hold them."""
    results = synthetic_sweep(
        outcomes={("plain", 8, 0): "failed"},
        reasons={
            ("plain", 8, 0): "rank 1 on alpha-gpu (10.1.2.3:6379) lost /home/ada/runs/x.pt; see http://node7:8265/#/job"
        },
    )
    activity = results.activity.assign(node=["node7", "beta-9"] * (len(results.activity) // 2))
    trials = results.trials.assign(**{"host.names": "alpha-gpu node7", "group.layout": "alpha-gpu: 0; node7: 1"})
    environment = {
        "python": "3.11.9",
        "host": "alpha-gpu",
        "cwd": "/home/ada",
        "note": ["started by /home/ada/go on node7"],
        "tracking_uri": "http://mlflow.example",
    }
    text = "name: digits\ndataset: {name: imagenet, root: /data/imagenet}\nstorage: s3://bucket/ada\n"
    return dataclasses.replace(
        results,
        trials=trials,
        activity=activity,
        environment=environment,
        workload_text=text,
        description="as in /data/readme",
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_read_from_a_bundle_is_what_was_written_but_for_what_is_private(tmp_path: Path) -> None:
    results = synthetic_sweep(outcomes={("A", 8, 1): "missing"})
    write_bundle(results, tmp_path)
    found = read_bundle(tmp_path)
    pd.testing.assert_frame_equal(found.trials, results.trials)
    pd.testing.assert_frame_equal(found.curves, results.curves)
    pd.testing.assert_frame_equal(found.activity, results.activity)
    frames = {"trials": 0, "curves": 0, "activity": 0}
    assert dataclasses.replace(found, **frames) == dataclasses.replace(results, **frames)
    assert report_files(assess(found)) == report_files(assess(results))


def test_columns_of_several_kinds_come_back_as_they_were(tmp_path: Path) -> None:
    results = synthetic_sweep(depths=(8,), shortcuts=("A",))
    odd = results.trials.assign(**{"recipe.drop": pd.Series([None, 3, "never"], dtype=object)})
    write_bundle(dataclasses.replace(results, trials=odd), tmp_path)
    assert list(read_bundle(tmp_path).trials["recipe.drop"]) == [None, 3, "never"]


def test_no_host_path_or_address_is_in_a_bundle_and_who_shared_a_host_still_is(tmp_path: Path) -> None:
    write_bundle(private_sweep(), tmp_path)
    for name, content in contents(tmp_path).items():
        assert not PRIVATE.search(content.decode("utf-8", "replace")), name
    found = read_bundle(tmp_path)
    assert not PRIVATE.search(found.trials.to_csv())
    assert found.trials["group.layout"][0] == "host-1: 0; host-3: 1"
    assert list(found.activity["node"][:2]) == ["host-3", "host-2"]
    reason = next(reason for reason in found.trials["reason"] if reason)
    assert reason == "rank 1 on host-1 (<address>) lost <path>; see <address>"
    assert found.workload_text == "name: digits\ndataset: {name: imagenet, root: <path>}\nstorage: <address>\n"
    assert found.environment == {"python": "3.11.9", "note": ["started by <path> on host-3"]}


def test_rates_sources_and_versions_are_no_paths() -> None:
    results = synthetic_sweep()
    kept = {"unit": "images/s", "source": "He 2015 (arXiv 1512.03385), 3x3/2", "driver": "550.54.15"}
    assert scrubbed(dataclasses.replace(results, environment=kept)).environment == kept


def test_the_same_results_give_the_same_bundle_wherever_it_is_written(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_bundle(synthetic_sweep(), tmp_path / name / name)
    assert contents(tmp_path / "one" / "one") == contents(tmp_path / "two" / "two")


def test_the_manifest_has_each_files_digest_and_size(tmp_path: Path) -> None:
    files = json.loads(write_bundle(synthetic_sweep(), tmp_path).read_text())["files"]
    assert sorted(files) == ["activity.parquet", "curves.parquet", "sweep.json", "trials.parquet"]
    for name, described in files.items():
        content = (tmp_path / name).read_bytes()
        assert described == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def test_a_bundle_of_the_first_version_is_read_and_knows_nothing_of_what_devices_did(tmp_path: Path) -> None:
    """The bundle is of a digits sweep, written before there was a second version."""
    first = Path(__file__).parent / "version_1"
    assert json.loads((first / "manifest.json").read_text())["version"] == 1
    found = read_bundle(first)
    assert found.activity.empty
    assert {"trial_id", "quantity", "elapsed_s", "value"} <= set(found.activity.columns)
    write_bundle(found, tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text())["version"] == 2
    assert report_files(assess(read_bundle(tmp_path))) == report_files(assess(found))


def flip_a_byte(folder: Path) -> None:
    content = bytearray((folder / "curves.parquet").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "curves.parquet").write_bytes(content)


def lose_a_file(folder: Path) -> None:
    (folder / "trials.parquet").unlink()


def be_of_tomorrow(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "version": 99}))


def name_no_file(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "files": {"../../etc/passwd": {}}}))


def lose_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def cut_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text()[:-20])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip_a_byte, "damaged: curves.parquet and its SHA-256 in manifest.json do not agree"),
        (lose_a_file, "not whole: trials.parquet: No such file"),
        (be_of_tomorrow, "has version 99, this harness reads versions 1 to 2"),
        (name_no_file, "does not name the files of version 2"),
        (lose_the_manifest, "is no bundle: manifest.json: No such file or directory; "),
        (cut_the_manifest, "is damaged: its manifest.json is no JSON"),
    ],
)
def test_a_damaged_bundle_is_refused_and_says_what_is_wrong(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    write_bundle(synthetic_sweep(depths=(8,)), tmp_path)
    damage(tmp_path)
    with pytest.raises(BundleError, match=message):
        read_bundle(tmp_path)


def test_a_folder_that_is_not_there_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere is no bundle: .*/nowhere: No such file or directory; "):
        read_bundle(tmp_path / "nowhere")


def test_a_bundle_is_replaced_by_the_same_sweeps_and_by_no_other(tmp_path: Path) -> None:
    kept = synthetic_sweep(name="kept", depths=(8,))
    write_bundle(kept, tmp_path)
    with pytest.raises(BundleError, match="holds the bundle of kept; name another folder with --out"):
        write_bundle(synthetic_sweep(name="other", depths=(8,)), tmp_path)
    write_bundle(kept, tmp_path)
    assert read_bundle(tmp_path).name == "kept"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"the bundle cannot be written to .*file/out"):
        write_bundle(synthetic_sweep(depths=(8,)), tmp_path / "file" / "out")


def test_the_sample_is_a_whole_digits_sweep_and_names_no_machine() -> None:
    sample = read_bundle(SAMPLE)
    assert (sample.experiment, sample.status, len(sample.trials)) == ("digits", "finished", 32)
    assert set(sample.trials["outcome"]) == {"finished"}
    frames = {path.name: pd.read_parquet(path).to_csv() for path in SAMPLE.glob("*.parquet")}
    texts = frames | {path.name: path.read_text() for path in SAMPLE.glob("*.json")}
    assert len(texts) == 5
    for name, text in texts.items():
        assert not re.search(rf"/(home|tmp|root|work|usr)/|\b{re.escape(socket.gethostname())}\b|://", text), name
    assert set(sample.trials["host.names"]) == {"host-1"}
    assert "host" not in sample.environment
    assert not sample.activity.empty
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 150_000


def test_a_newcomer_gets_a_report_of_the_sample_without_a_tracking_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", "--sample", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {"sweep": "digits-3e04a4c7", "report": "out/sample/digits-3e04a4c7/index.html"}
    assert "digits-3e04a4c7" in Path(shown["report"]).read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_sources_of_one_report_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "digits", "--sample"]) == ExitCode.USAGE
    assert "exclude each other" in capsys.readouterr().err
