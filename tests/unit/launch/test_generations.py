"""The plain command goes on with the generation that `--fresh` began."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import StorageError
from harness.events import TrialEnded
from harness.launch.sweep import IN_OUTBOX, NamedSweep, name_sweep, prepare_sweep
from harness.options import RunOptions
from harness.schema import Outcome
from harness.workload.load import parse_workload

TEXT = """
name: w
dataset: digits
matrix: {model: resnet_cifar, depth: 8}
recipe: quick
scale: {device: cpu}
seeds: 2
"""


def named(storage: Path, *, fresh: bool = False) -> NamedSweep:
    options = RunOptions(
        workload=parse_workload("w.yaml", TEXT),
        storage=storage,
        tracking_uri="sqlite:///none.db",
        experiment="w",
        address=None,
        launcher="inline",
        out=storage,
        fresh=fresh,
        json=False,
        report=False,
    )
    found = name_sweep(options)
    found.claim()
    return found


def test_the_plain_command_goes_on_with_the_newest_fresh_sweep(tmp_path: Path) -> None:
    first = named(tmp_path)
    fresh = named(tmp_path, fresh=True)
    assert fresh.id != first.id
    assert named(tmp_path).id == fresh.id
    newest = named(tmp_path, fresh=True)
    assert newest.id not in (first.id, fresh.id)
    assert named(tmp_path).folder == newest.folder
    assert named(tmp_path / "elsewhere").id == first.id


def test_a_fresh_sweep_takes_no_result_of_another_and_goes_on_with_its_own(tmp_path: Path) -> None:
    asked: list[str | None] = []

    def finished(trial_ids: object, sweep_id: str | None) -> dict[str, str]:
        asked.append(sweep_id)
        return {}

    fresh = named(tmp_path, fresh=True)
    assert len(prepare_sweep(fresh, finished).to_run) == 2
    assert asked == []
    done = fresh.trials[0]
    fresh.outbox.append(TrialEnded(trial_id=done.id, attempt=1, outcome=Outcome.FINISHED))
    again = prepare_sweep(named(tmp_path), finished)
    assert asked == [fresh.id]
    assert again.done == {done.id: IN_OUTBOX}
    assert again.to_run == fresh.trials[1:]


def test_a_generation_that_cannot_be_read_says_which_file_to_remove(tmp_path: Path) -> None:
    named(tmp_path, fresh=True)
    (pointer,) = tmp_path.glob("*.generation")
    pointer.write_text("../../elsewhere")
    with pytest.raises(StorageError, match=f"{pointer} does not name a generation; remove it"):
        named(tmp_path)
