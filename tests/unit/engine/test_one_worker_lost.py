"""A worker that hangs, raises or dies within a step does not leave the other waiting for ever, over real gloo."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.environment import start_program


def start(folder: Path, rank: int, what: str) -> subprocess.Popen[str]:
    return start_program("tests.unit.engine.hanging_worker", rank, folder, what, GLOO_SOCKET_IFNAME="lo")


@pytest.mark.parametrize("what", ["hang", "raise", "die"])
def test_the_other_worker_fails_with_the_reason_before_the_one_that_hangs_would_go_on(tmp_path, what):
    healthy, broken = (start(tmp_path, rank, what) for rank in range(2))
    try:
        output, _ = healthy.communicate(timeout=300)
        found = json.loads((tmp_path / "0.json").read_text())
        assert found["outcome"] == "peer lost", output
        assert "(rank 0 on " in found["reason"]
        if what == "hang":
            assert broken.poll() is None, "it still hangs; the deadline freed the other"
            assert "imed out" in found["reason"]
        elif what == "die":
            assert broken.wait(timeout=300) < 0
        else:
            broken.communicate(timeout=300)
            cause = json.loads((tmp_path / "1.json").read_text())["reason"]
            assert cause.startswith("ZeroDivisionError: planted (rank 1 on ")
            # The worker that raised was the first of the two, so the trace is its own.
            assert "ZeroDivisionError" in (tmp_path / "trial" / "trace-1.txt").read_text()
    finally:
        broken.kill()
        broken.communicate()
