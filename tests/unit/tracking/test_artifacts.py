"""The files that arrive in a tracking store, and those that do not."""

from __future__ import annotations

import pandas as pd
import pytest

from harness.events import ArtifactWritten
from tests.unit.tracking.conftest import FIRST, Desk, begun, ended, start


def test_step_times_arrive_as_parquet(desk: Desk) -> None:
    desk.file("steps.csv", "step,ms\n1,2.5\n2,2.25\n")
    desk.write(start(), begun(), ArtifactWritten(trial_id=FIRST, attempt=1, path="steps.csv", time_ms=5_000))
    desk.recorder().forward()
    assert list(desk.run().artifacts) == ["steps.parquet"]
    path = desk.folder.root / "back.parquet"
    path.write_bytes(desk.run().artifacts["steps.parquet"])
    assert pd.read_parquet(path).to_dict("list") == {"step": [1, 2], "ms": [2.5, 2.25]}


def test_other_files_arrive_as_they_are_in_the_folder_they_were_in(desk: Desk) -> None:
    desk.file("trace.txt", "Traceback\n")
    desk.file("profile/ops.json", "{}")
    for path in ("trace.txt", "profile/ops.json"):
        desk.write(*([start(), begun()] if path == "trace.txt" else []))
        desk.write(ArtifactWritten(trial_id=FIRST, attempt=1, path=path, time_ms=5_000))
    desk.recorder().forward()
    assert desk.run().artifacts == {"trace.txt": b"Traceback\n", "profile/ops.json": b"{}"}


@pytest.mark.parametrize("path", ["gone.txt", "../../../secret", "/etc/hostname", "empty/steps.csv"])
def test_a_file_that_cannot_be_sent_is_noted_and_the_rest_arrives(desk: Desk, path: str) -> None:
    desk.file("empty/steps.csv", "")
    desk.write(start(), begun(), ArtifactWritten(trial_id=FIRST, attempt=1, path=path, time_ms=5_000), ended())
    progress = desk.recorder().forward()
    assert (progress.waiting, progress.error) == (0, None)
    assert len(progress.problems) == 1
    assert path.rpartition("/")[2] in progress.problems[0]
    assert desk.run().record.status == "FINISHED"
    assert desk.run().artifacts == {}
