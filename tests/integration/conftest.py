"""Fixtures that run the real command in a folder of its own."""

from __future__ import annotations

import contextlib
import ipaddress
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from harness.events import EpochEnded, Event, TrialEnded, TrialStarted
from harness.storage import SweepFolder
from harness.tracking.outbox import Outbox
from harness.tracking.sample import Sample, trial_id
from tests.support.environment import ROOT, bare_environment
from tests.support.ray_head import RayHead, training_workers
from tests.support.tracked_sweep import NewSweep, Sweep

WORKLOAD = """\
name: small
description: Two depths, two kinds, two seeds.
dataset: digits
matrix:
  - model: resnet_cifar
    depth: [8, 14]
    shortcut: [plain, A]
    width: 8
recipe: {name: quick, epochs: 4}
seeds: 2
claims: [plain-degrades-with-depth, residual-does-not-degrade]
"""


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass
class Bench:
    """A folder in which commands run, and all files that they leave there."""

    folder: Path
    workload: str = WORKLOAD
    head: RayHead | None = None
    """Ray on which its sweeps run; without one, each command starts a local Ray."""
    family: list[psutil.Process] = field(default_factory=list)
    """Processes that the undisturbed sweep had started by the time its first trial ran."""
    addresses: list[Address] = field(default_factory=list)
    """Addresses at which those processes could be reached."""
    _started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Environment of its commands."""
        on_ray = {} if self.head is None else {**self.head.environment, "RAY_ADDRESS": self.head.address}
        return {**environment(), **on_ray}

    def write(self, text: str, name: str = "small.yaml") -> None:
        (self.folder / name).write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process

    def run(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=500)
        assert process.returncode == expect, f"exit code {process.returncode}, not {expect}:\n{err}\n{out}"
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def events(self) -> list[Event]:
        """Return all events of the only outbox."""
        outboxes = list(self.folder.glob("runs/*/outbox.jsonl"))
        return [event for path in outboxes for event, _ in Outbox(path).read()]

    def wait_for(self, what: Callable[[Event], bool], process: subprocess.Popen[str]) -> Event:
        """Wait for the first event of a kind while the process lives, and return it."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            found = next((event for event in self.events() if what(event)), None)
            if found is not None:
                return found
            assert process.poll() is None, f"ended too early:\n{process.communicate()[1]}"
            time.sleep(0.05)
        raise AssertionError("waited 300 s in vain")

    def ends(self) -> list[TrialEnded]:
        return [event for event in self.events() if isinstance(event, TrialEnded)]

    def final_numbers(self) -> dict[str, dict[str, float]]:
        """Return trial id -> numbers that must not depend on how the trial came to its end."""
        return {
            ended.trial_id: {key: value for key, value in ended.results.items() if key.startswith("final/")}
            for ended in self.ends()
            if ended.final and ended.outcome.is_result
        }

    def curves(self) -> dict[tuple[str, int], tuple[float, float]]:
        """Return (trial id, epoch) -> training loss and test error; of an epoch that ran twice, the later values."""
        return {
            (event.trial_id, event.epoch): (event.values["train/loss"], event.values["test/error_pct"])
            for event in self.events()
            if isinstance(event, EpochEnded)
        }

    def training_workers(self, driver: subprocess.Popen[str]) -> list[psutil.Process]:
        """Return Ray Train's worker processes, first one that trains. Those of a local Ray are below the driver."""
        return training_workers(driver if self.head is None else self.head.process)

    def end_all(self) -> None:
        """End the processes that this bench started, and no others."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()


def listened_on(process: psutil.Process) -> Iterator[Address]:
    """Yield the addresses of this machine at which a process can be reached; none once it has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                address = ipaddress.ip_address(connection.laddr.ip)
                yield getattr(address, "ipv4_mapped", None) or address


def environment() -> dict[str, str]:
    return bare_environment(PYTHONPATH=str(ROOT), COLUMNS="100", RAY_AUTH_MODE="disabled")


@pytest.fixture
def database(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the database for one test into the current folder, where MLflow also puts local artifacts."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(empty_store, tmp_path / "mlflow.db"))


@pytest.fixture
def new_sweep(tmp_path: Path) -> NewSweep:
    """Return a function that makes the folder and the outbox of a sample, with a file of steps for each trial."""

    def make(sample: Sample) -> Sweep:
        folder = SweepFolder(tmp_path / "runs" / sample.name)
        folder.make()
        for index in range(sample.trials):
            folder.trial(trial_id(index)).mkdir(parents=True)
            (folder.trial(trial_id(index)) / "steps.csv").write_text("step,ms\n1,2.5\n2,2.25\n")
        return Sweep(folder, Outbox(folder.outbox))

    return make


@pytest.fixture
def bench(tmp_path: Path, empty_store: Path, shared_ray: RayHead) -> Iterator[Bench]:
    """Make a folder for commands, which run on the Ray that tests share."""
    yield from made_bench(tmp_path, empty_store, shared_ray)


@pytest.fixture
def local_bench(tmp_path: Path, empty_store: Path) -> Iterator[Bench]:
    """Make a folder for commands, each of which starts a Ray of its own."""
    yield from made_bench(tmp_path, empty_store)


def made_bench(folder: Path, empty_store: Path, head: RayHead | None = None) -> Iterator[Bench]:
    made = Bench(folder, head=head)
    shutil.copy(empty_store, folder / "mlflow.db")
    made.write(WORKLOAD)
    yield made
    made.end_all()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Run the small workload once on a Ray of its own, undisturbed. Tests may read the folder but not write to it."""
    made = Bench(tmp_path_factory.mktemp("undisturbed"))
    made.write(WORKLOAD)
    process = made.start("run", "small.yaml")
    made.wait_for(lambda event: isinstance(event, TrialStarted), process)
    made.family = psutil.Process(process.pid).children(recursive=True)
    made.addresses = [address for member in made.family for address in listened_on(member)]
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    (made.folder / "first.txt").write_text(out)
    yield made
    made.end_all()
