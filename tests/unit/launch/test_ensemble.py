"""Ensembles of trials that kept their weights, and the messages about trials that cannot be used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harness.cli.main import main
from harness.engine import TrialContext, run_trial
from harness.engine.checkpoint import read_weights
from harness.errors import StorageError, UsageError
from harness.events import SweepStarted, TrialEnded
from harness.launch.device import ThisMachine, resolve_devices
from harness.launch.ensemble import make_ensemble
from harness.schema import Outcome
from harness.storage import SweepFolder
from harness.tracking.memory import MemoryTracker
from harness.tracking.outbox import Outbox
from harness.trial import Trial
from harness.workload.load import fingerprints, parse_workload
from harness.workload.matrix import expand
from workloads.datasets.digits import Digits

CPU = torch.device("cpu")

WORKLOAD = """
name: {name}
dataset: {dataset}
matrix: {{model: resnet_cifar, depth: 8, shortcut: A, width: 4}}
recipe: {{name: quick, epochs: {epochs}, batch_size: 96}}
seeds: {seeds}
scale: {{device: {device}}}
audit: warn
keep: {keep}
"""


@dataclass(frozen=True)
class Swept:
    folder: SweepFolder
    trials: tuple[Trial, ...]
    ends: dict[str, TrialEnded]


def sweep(storage: Path, name: str, *, keep: str = "weights", seeds: int = 3, epochs: int = 2, **more: str) -> Swept:
    """Train a workload's trials here, and leave the same files as `harness run`."""
    text = WORKLOAD.format(
        name=name, keep=keep, seeds=seeds, epochs=epochs, **{"dataset": "digits", "device": "cpu", **more}
    )
    workload = resolve_devices(parse_workload(name, text), ThisMachine())
    trials = expand(workload, fingerprints(workload))
    folder = SweepFolder(storage / name)
    folder.make()
    outbox = Outbox(folder.outbox)
    outbox.append(
        SweepStarted(
            sweep_id=name,
            name=name,
            experiment="together",
            description="",
            workload_text=text,
            trials=tuple(trial.record() for trial in trials),
            reused={},
            plan={},
            environment={},
        )
    )
    ends = {trial.id: run_trial(trial, context(folder.trial(trial.id))) for trial in trials}
    for ended in ends.values():
        outbox.append(ended)
    outbox.close()
    return Swept(folder, trials, ends)


def context(folder: Path) -> TrialContext:
    return TrialContext(folder, 1, 0, 1, CPU, lambda event: None, lambda: False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    return sweep(tmp_path_factory.mktemp("trained") / "runs", "digits")


@pytest.fixture
def storage(trained: Swept, tmp_path: Path) -> Path:
    """Return a copy of the storage that a test may damage."""
    return Path(shutil.copytree(trained.folder.root.parent, tmp_path / "runs"))


@pytest.fixture
def say(storage: Path) -> Callable[..., None]:
    """Return a function that writes one more event of the sweep."""

    def write(event: TrialEnded) -> None:
        outbox = Outbox(SweepFolder(storage / "digits").outbox)
        outbox.append(event)
        outbox.close()

    return write


def test_trials_whose_file_leaves_the_device_open_are_found_by_id_and_by_name(tmp_path: Path) -> None:
    """Nearly every file leaves it open; the ids are those of trials on the device that was there."""
    swept = sweep(tmp_path / "runs", "open", device="auto", seeds=2, epochs=1)
    sweep(tmp_path / "runs", "longer", seeds=2, epochs=2, keep="nothing")
    by_id = make_ensemble(tmp_path / "runs", [trial.id for trial in swept.trials])
    by_name = make_ensemble(tmp_path / "runs", ["resnet-8-A-w4 seed 0", "resnet-8-A-w4 seed 1"])
    assert by_id == by_name
    assert {member.trial_id for member in by_name.members} == {trial.id for trial in swept.trials}


def test_scores_are_averaged_and_each_members_error_is_the_one_it_was_recorded_with(trained: Swept) -> None:
    data = Digits().load(CPU)
    total = np.zeros((355, 10))
    for trial in trained.trials:
        net = trial.model.build(in_channels=1, num_classes=10, image_size=8)
        net.load_state_dict(read_weights(trained.folder.trial(trial.id), trial.id))
        net.eval()
        for i, image in enumerate(data.test_images):
            with torch.no_grad():
                powers = np.exp(net(image[None])[0].double().numpy())
            total[i] += powers / powers.sum() / 3
    labels = data.test_labels.numpy()

    found = make_ensemble(trained.folder.root.parent, [trial.id for trial in trained.trials])

    assert found.combined.error_pct == pytest.approx(100 * (total.argmax(1) != labels).mean())
    assert found.combined.loss == pytest.approx(-np.log(total[range(355), labels]).mean(), rel=1e-5)
    assert found.combined.images == 355
    assert found.combined.error_top5_pct is None  # of 10 classes
    errors = {member.trial_id: member.error_pct for member in found.members}
    assert errors == {trial_id: end.results["final/test_error_pct"] for trial_id, end in trained.ends.items()}


def test_a_trial_goes_by_the_beginning_of_its_id_and_by_its_name(trained: Swept) -> None:
    first, second, _ = trained.trials
    found = make_ensemble(trained.folder.root.parent, [first.id[:10], second.name])
    assert [member.trial_id for member in found.members] == [first.id, second.id]
    assert [member.name for member in found.members] == [first.name, second.name]


def test_the_command_prints_every_member_and_records_the_ensemble(
    trained: Swept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker = MemoryTracker()
    monkeypatch.setattr("harness.cli.ensemble.connect", lambda uri: tracker)
    ids = [trial.id for trial in trained.trials]
    storage = str(trained.folder.root.parent)

    assert main(["ensemble", *ids, "--storage", storage, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["dataset"] == "digits"
    assert [member["trial_id"] for member in record["members"]] == ids
    [run] = tracker.runs.values()
    assert run.record.tags == {"harness.kind": "ensemble"}
    assert run.record.params == {f"member.{i}": trial_id for i, trial_id in enumerate(ids, start=1)}
    assert run.record.metrics["final/test_error_pct"] == record["ensemble"]["error_pct"]
    assert run.record.metrics["final/test_images"] == 355
    assert run.record.status == "FINISHED"
    assert [name for name, _ in run.datasets] == ["digits"]
    assert list(tracker.experiments) == ["together"]

    assert main(["ensemble", *ids, "--storage", storage, "--no-log"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines] == ["images", "355", "355", "355", "355"]
    assert lines[-1].startswith("ensemble of 3")
    assert len(tracker.runs) == 1


def test_what_is_unknown_ambiguous_or_alone_is_refused(trained: Swept, tmp_path: Path) -> None:
    storage, first = trained.folder.root.parent, trained.trials[0].id
    with pytest.raises(UsageError, match=r"no trial 'resnet-9' in .*; `harness plan FILE` shows the ids"):
        make_ensemble(storage, [first, "resnet-9"])
    with pytest.raises(UsageError, match="needs at least two trials, each named once; these are " + first):
        make_ensemble(storage, [first])
    with pytest.raises(UsageError, match="needs at least two trials, each named once"):
        make_ensemble(storage, [first, trained.trials[1].id, first[:12]])
    with pytest.raises(UsageError, match="no trial ''"):
        make_ensemble(storage, ["", first])
    with pytest.raises(StorageError, match="holds no sweep"):
        make_ensemble(tmp_path, [first])
    with pytest.raises(StorageError, match="cannot be read: No such file"):
        make_ensemble(tmp_path / "nowhere", [first])


def test_the_beginning_of_several_ids_is_refused_with_all_of_them(storage: Path, trained: Swept) -> None:
    started = next(event for event, _ in Outbox(trained.folder.outbox).read())
    assert isinstance(started, SweepStarted)
    twin = SweepFolder(storage / "twin")
    twin.make()
    records = [
        {**dict(trial), "id": f"{trained.trials[0].id[:8]}{place:08x}"} for place, trial in enumerate(started.trials)
    ]
    outbox = Outbox(twin.outbox)
    outbox.append(replace(started, name="twin", trials=tuple(records)))
    outbox.close()
    with pytest.raises(UsageError, match=r"could be any of \w{16} \(.* seed 0\), \w{16} .*; give more of the id"):
        make_ensemble(storage, [trained.trials[0].id[:8], trained.trials[1].id])


@pytest.mark.parametrize("outcome", [Outcome.DIVERGED, Outcome.TIMED_OUT])
def test_a_trial_that_did_not_finish_is_refused_with_how_it_ended(
    storage: Path, trained: Swept, say: Callable[..., None], outcome: Outcome
) -> None:
    first, second, _ = trained.trials
    say(replace(trained.ends[first.id], outcome=outcome))
    with pytest.raises(UsageError, match=rf"{first.id} \({first.name}\) has not finished: it ended as {outcome.value}"):
        make_ensemble(storage, [first.id, second.id])


def test_a_trial_that_has_not_ended_is_refused(storage: Path, trained: Swept) -> None:
    first, second, _ = trained.trials
    outbox = storage / "digits" / "outbox.jsonl"
    lines = outbox.read_text().splitlines(keepends=True)
    outbox.write_text("".join(line for line in lines if "SweepStarted" in line or second.id in line))
    with pytest.raises(UsageError, match=rf"{first.id} \(.*\) has not finished: it has no end yet"):
        make_ensemble(storage, [first.id, second.id])


def test_a_member_without_weights_is_told_with_what_to_do(storage: Path, trained: Swept) -> None:
    first, second, _ = trained.trials
    SweepFolder(storage / "digits").weights(second.id).unlink()
    with pytest.raises(StorageError, match=rf"{second.id} .* kept no weights: .* --fresh --keep-weights"):
        make_ensemble(storage, [first.id, second.id])


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda own, other: own[:-1], "truncated or altered"),
        (lambda own, other: own[:500] + bytes([own[500] ^ 1]) + own[501:], "truncated or altered"),
        (lambda own, other: other, "trial_id"),
    ],
)
def test_weights_that_are_not_the_trials_own_are_refused(
    storage: Path, trained: Swept, spoil: Callable[[bytes, bytes], bytes], why: str
) -> None:
    first, second, _ = trained.trials
    files = [SweepFolder(storage / "digits").weights(trial.id) for trial in (first, second)]
    files[0].write_bytes(spoil(files[0].read_bytes(), files[1].read_bytes()))
    with pytest.raises(StorageError, match=rf"{first.id}/weights.checkpoint cannot be used: .*{why}"):
        make_ensemble(storage, [first.id, second.id])


def test_the_newest_copy_that_kept_its_weights_is_taken(storage: Path, trained: Swept) -> None:
    """This happens when a sweep runs again with `--fresh`, once without and once with weights kept."""
    again = sweep(storage, "again", keep="nothing", seeds=1)
    assert again.trials[0].id == trained.trials[0].id
    assert not again.folder.weights(again.trials[0].id).exists()
    assert len(make_ensemble(storage, [trial.id for trial in trained.trials]).members) == 3


def test_two_data_sets_are_refused(storage: Path, trained: Swept) -> None:
    noise = "{name: synthetic, channels: 1, image_size: 8, train_images: 192, test_images: 355}"
    other = sweep(storage, "noise", dataset=noise, seeds=1, epochs=1)
    [trial] = other.trials
    outbox = Outbox(other.folder.outbox)
    outbox.append(replace(other.ends[trial.id], outcome=Outcome.FINISHED))  # noise is not learned in an epoch
    outbox.close()
    with pytest.raises(UsageError, match=r"is of data set digits \(\w{8}\) and .* of synthetic .*needs one test set"):
        make_ensemble(storage, [trained.trials[0].id, trial.id])
