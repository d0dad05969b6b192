"""A sweep during faults; the kind and the time of each fault are drawn from a seed."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from subprocess import Popen

import psutil

from harness.tracking.outbox import Outbox
from tests.cluster.cluster import NODES, STORE, Sweep, TestCluster, first_child

KINDS = ("worker", "host", "link", "tracking", "driver")
CUT_S = (2.0, 8.0)
"""Range of seconds for which a link stays cut."""
TRACKING_AWAY_S = 20.0
HOST_AWAY_S = 3.0
LOOK_EVERY_S = 2.0
"""Seconds between two checks that Ray runs on every host."""
LIMIT_S = 1200.0
"""Limit in seconds for the whole sweep."""
LOST = 4
"""Exit code if the cluster or the tracking server does not answer; the sweep is then run again."""


@dataclass
class Fault:
    """One fault that was caused: a process or a host killed, or a link cut."""

    kind: str
    what: str
    after_s: float
    """Seconds since the sweep began."""


@dataclass
class ChaosRun:
    """A sweep that is run again whenever its driver dies, and the faults caused meanwhile."""

    cluster: TestCluster
    sweep: Sweep
    seed: int
    pause_epochs: tuple[int, int]
    """Range of epochs that end between two faults, so that faults occur during training on slow and fast machines."""
    arguments: Sequence[str] = ()
    faults: list[Fault] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    """Exit codes of the drivers, in order."""
    took_s: float = 0.0
    _driver: Popen[str] | None = None
    _repairs: list[threading.Thread] = field(default_factory=list)
    _down: set[str] = field(default_factory=set)
    """Hosts and links that a thread is about to bring back."""
    _began: float = 0.0
    _look_at_s: float = 0.0

    def run(self, faults: int) -> None:
        """Run the sweep to its end while causing this many faults, each kind among them."""
        rng = random.Random(self.seed)
        draws = self._draws(rng, faults)
        self._began = time.monotonic()
        self._start_driver()
        kind, due = next(draws, None), rng.randint(*self.pause_epochs)
        while not self._ended(all_caused=kind is None):
            assert self._elapsed_s < LIMIT_S, (
                f"not ended after {LIMIT_S:g} s; the output of the driver:\n{self.sweep.output[-3000:]}"
            )
            done = self._epochs_done()
            if kind is not None and done >= due and self._kill(kind, rng):
                kind, due = next(draws, None), done + rng.randint(*self.pause_epochs)
            self._revive_nodes()
            time.sleep(0.2)
        self.took_s = self._elapsed_s
        for thread in self._repairs:
            thread.join()

    @property
    def by_kind(self) -> Counter[str]:
        """Number of faults of each kind."""
        return Counter(fault.kind for fault in self.faults)

    @property
    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began

    @staticmethod
    def _draws(rng: random.Random, count: int) -> Iterator[str]:
        """Draw each kind once in random order, then any kind but the tracking server, since that takes long."""
        kinds = rng.sample(KINDS, len(KINDS))
        kinds += rng.choices([kind for kind in KINDS if kind != "tracking"], k=max(0, count - len(KINDS)))
        return iter(kinds[:count])

    def _epochs_done(self) -> int:
        """Return the number of epochs done in all attempts together."""
        outboxes = self.sweep.storage.glob("*/outbox.jsonl")
        return sum(line.count(b'"event": "EpochEnded"') for path in outboxes for line, _ in Outbox(path).lines())

    def _start_driver(self) -> None:
        self._driver = self.sweep.launch(*self.arguments)

    def _ended(self, *, all_caused: bool) -> bool:
        """Return whether the sweep is done. Start a driver again that was killed or ended before that."""
        assert self._driver is not None
        code = self._driver.poll()
        if code is None:
            return False
        self.codes.append(code)
        if code == 0:
            assert all_caused, "the sweep ended before all faults were caused; give it more trials"
            return True
        assert code in (-9, 137, LOST), f"the driver ended with {code}:\n{self.sweep.output[-3000:]}"
        self._start_driver()
        return False

    def _kill(self, kind: str, rng: random.Random) -> bool:
        """Cause a fault of this kind and return whether there was anything to kill."""
        what = {
            "worker": self._kill_worker,
            "host": self._kill_host,
            "link": self._cut_link,
            "tracking": self._kill_tracking,
            "driver": self._kill_driver,
        }[kind](rng)
        if what is not None:
            self.faults.append(Fault(kind=kind, what=what, after_s=self._elapsed_s))
        return what is not None

    def _kill_worker(self, rng: random.Random) -> str | None:
        workers = [process for name in NODES for process in training_workers(self.cluster, name)]
        if not workers:
            return None
        victim = rng.choice(workers)
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
            return f"one of {len(workers)}"
        return None

    def _kill_host(self, rng: random.Random) -> str | None:
        """Kill a host other than the head, since the cluster ends with the head."""
        name = self._up(rng, NODES[1:])
        if name is None:
            return None
        self.cluster.hosts.by_name[name].end_processes()
        self._repair_later(HOST_AWAY_S, name, lambda: self.cluster.start_node(name))
        return name

    def _cut_link(self, rng: random.Random) -> str | None:
        name = self._up(rng, (*NODES, STORE))
        if name is None:
            return None
        cut_s = rng.uniform(*CUT_S)
        self.cluster.hosts.unplug(name)
        self._repair_later(cut_s, name, lambda: self.cluster.hosts.plug_in_again(name))
        return f"{name} for {cut_s:.1f} s"

    def _kill_tracking(self, rng: random.Random) -> str | None:
        if STORE in self._down:
            return None
        self.cluster.stop_tracking()
        self._repair_later(TRACKING_AWAY_S, STORE, self.cluster.start_tracking)
        return f"for {TRACKING_AWAY_S:.0f} s"

    def _kill_driver(self, rng: random.Random) -> str | None:
        assert self._driver is not None
        with contextlib.suppress(psutil.NoSuchProcess, ValueError):
            first_child(self._driver).kill()
            return "and run again"
        return None

    def _up(self, rng: random.Random, names: Sequence[str]) -> str | None:
        """Pick one host or link that is up, or None if there is none."""
        up = [name for name in names if name not in self._down]
        return rng.choice(up) if up else None

    def _revive_nodes(self) -> None:
        """Start Ray where it ended by itself (it does so on a node that was given up), as a cluster manager would."""
        if self._elapsed_s < self._look_at_s:
            return
        self._look_at_s = self._elapsed_s + LOOK_EVERY_S
        for name in NODES[1:]:
            if name not in self._down and not self.cluster.hosts.by_name[name].runs("raylet"):
                self._repair_later(0.0, name, lambda name=name: self._start_anew(name))

    def _start_anew(self, name: str) -> None:
        self.cluster.hosts.by_name[name].end_processes()
        self.cluster.start_node(name)

    def _repair_later(self, pause_s: float, name: str, repair: Callable[[], None]) -> None:
        self._down.add(name)

        def run() -> None:
            time.sleep(pause_s)
            try:
                repair()
            finally:
                self._down.discard(name)

        thread = threading.Thread(target=run, daemon=True)
        self._repairs.append(thread)
        thread.start()


def training_workers(cluster: TestCluster, name: str) -> list[psutil.Process]:
    """Return Ray Train's workers on a host, oldest first."""
    found = []
    for process in cluster.hosts.by_name[name].processes():
        with contextlib.suppress(psutil.Error):
            if "RayTrainWorker" in " ".join(process.cmdline()[:1]):
                found.append((process.create_time(), process.pid, process))
    return [process for _, _, process in sorted(found)]
