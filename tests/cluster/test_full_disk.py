"""A storage folder whose disk fills up while a sweep runs."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from harness.events import EpochEnded, SweepEnded, TrialEnded
from harness.tracking.outbox import Outbox
from tests.cluster.hosts import Host, Hosts, environment_of_hosts

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("namespaces")]

DISK_MIB = 3
WORKLOAD = """\
name: full
dataset: digits
matrix: {model: resnet_cifar, depth: 8, width: 4}
recipe: {name: quick, epochs: 8}
seeds: 3
"""


def start(host: Host, folder: Path) -> Popen[str]:
    command = [sys.executable, "-m", "harness", "run", "full.yaml", "--launcher", "inline", "--no-report"]
    options = ["--storage", str(folder / "small"), "--tracking-uri", f"sqlite:///{folder}/mlflow.db"]
    with (folder / "output.txt").open("w") as output:
        return host.start([*command, *options], env=environment_of_hosts(), cwd=folder, output=output)


@contextlib.contextmanager
def small_disk(host: Host, folder: Path) -> Iterator[Path]:
    """Mount a small disk at a folder of one host while the context lasts; yield its path from outside."""
    folder.mkdir()
    host.run("mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder))
    try:
        yield Path(f"/proc/{host.first_pid}/root{folder}")
    finally:
        host.end_processes()
        host.run("umount", str(folder))


def test_a_sweep_on_a_full_disk_says_so_keeps_what_it_measured_and_goes_on_when_there_is_room(
    pair: Hosts, tmp_path: Path
) -> None:
    (tmp_path / "full.yaml").write_text(WORKLOAD)
    host = pair.by_name["alpha"]
    with small_disk(host, tmp_path / "small") as disk:
        driver = start(host, tmp_path)
        outbox = wait_for_an_epoch(disk, driver)
        fill(disk / "filler")
        assert driver.wait(timeout=300) == 2
        output = (tmp_path / "output.txt").read_text()
        assert "No space left on device" in output
        assert "goes on where it stopped" in output
        assert "Traceback" not in output

        kept = [event for event, _ in outbox.read()]
        assert any(isinstance(event, EpochEnded) for event in kept)
        (disk / "filler").unlink()
        assert start(host, tmp_path).wait(timeout=300) == 0, (tmp_path / "output.txt").read_text()
        events = [event for event, _ in outbox.read()]
    assert events[: len(kept)] == kept
    final = [event.trial_id for event in events if isinstance(event, TrialEnded) and event.final]
    assert len(final) == len(set(final)) == 3
    assert isinstance(events[-1], SweepEnded)
    assert events[-1].status == "finished"


def wait_for_an_epoch(disk: Path, driver: Popen[str]) -> Outbox:
    """Return the sweep's outbox once it holds an epoch."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and driver.poll() is None:
        for path in disk.glob("*/outbox.jsonl"):
            outbox = Outbox(path)
            if any(isinstance(event, EpochEnded) for event, _ in outbox.read()):
                return outbox
        time.sleep(0.05)
    raise AssertionError("no epoch ended")


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"0" * 512)
