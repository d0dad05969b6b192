"""Hosts on one machine: Linux namespaces joined by a switch, with nothing left behind.

A host is all processes in one set of namespaces: network, host name, mounts and process ids. Its first process keeps it
alive; when that ends, the kernel ends all others of the host and removes the interfaces. The switch is a host with a
bridge, so nothing appears outside, no name can collide with another run's, and there is nothing to clean up.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from tests.support.environment import ROOT, bare_environment

BRIDGE = "bridge"
INTERFACE = "eth0"
NETWORK = "10.77.0"
SHARED_MEMORY_MIB = 512
TOOLS = {"ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux", "setpriv": "util-linux"}
"""Required commands and the Debian packages that contain them."""

FIRST_PROCESS = f"""
set -e
hostname "$1"
mount --bind "$2/hosts" /etc/hosts
mkdir -p /tmp/ray
mount --bind "$2/tmp" /tmp/ray
mount -t tmpfs -o size={SHARED_MEMORY_MIB}m tmpfs /dev/shm
ip link set lo up
echo ready
# Orphans of the host become children of this shell, and waiting reaps them. Whoever ends the sleep starts the next.
while :; do sleep 1000000 & wait $! || true; done
"""


def unavailable_reason() -> str | None:
    """Return why no host can be made here, or None if one can."""
    if os.name != "posix" or not Path("/proc/self/ns/net").exists():
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [f"{tool} ({package})" for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        return f"missing: {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--mount-proc", "true"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return None if tried.returncode == 0 else f"namespaces are not allowed here: {tried.stderr.strip()}"


@dataclass(frozen=True, kw_only=True)
class Host:
    """One simulated machine: a set of namespaces and its processes."""

    name: str
    address: str
    folder: Path
    """Folder of its own, with its logs and the replacement for its /tmp/ray."""
    keeper: subprocess.Popen[str]
    first_pid: int
    """Process id of the host's first process, as seen from outside."""
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    """Processes that `start` returned."""

    def command(self, *command: str, cwd: Path | None = None) -> list[str]:
        """Return the command line that runs a command on this host."""
        folder = f"--wd={cwd or self.folder}"
        return ["nsenter", f"--target={self.first_pid}", "--net", "--uts", "--mount", "--pid", folder, "--", *command]

    def start(
        self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, output: IO[str] | int
    ) -> subprocess.Popen[str]:
        """Start a command on this host. Its output and errors go to one place."""
        process = subprocess.Popen(
            self.command(*command, cwd=cwd), env=dict(env), stdout=output, stderr=subprocess.STDOUT, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.started.append(process)
        return process

    def run(self, *command: str) -> str:
        """Run a small command on this host and return its output.

        Raises:
            RuntimeError: it failed.
        """
        return _run(*self.command(*command))

    def processes(self) -> list[psutil.Process]:
        """Return all processes on this host, except those that keep it alive."""
        mine = _pid_namespace(self.first_pid)
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                if process.pid != self.first_pid and _pid_namespace(process.pid) == mine:
                    found.append(process)
        return found

    def runs(self, name: str) -> bool:
        """Return whether a process of this name runs on this host."""
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.name() == name:
                    return True
        return False

    def end(self) -> None:
        """End the host and all its processes."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.first_pid, signal.SIGKILL)
        for process in [*self.started, self.keeper]:
            process.wait()
            if process.stdout is not None:
                process.stdout.close()

    def end_processes(self, *, keep: Sequence[int] = ()) -> None:
        """Kill all processes on this host, as a power failure does; the host is up again at once, and empty."""
        ended = [process for process in self.processes() if process.pid not in keep]
        for process in ended:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(ended, timeout=30)


@dataclass
class Hosts:
    """Several hosts and the switch between them."""

    folder: Path
    by_name: dict[str, Host] = field(default_factory=dict)
    _switch: Host | None = None

    def start(self, names: Sequence[str]) -> None:
        """Make the switch, and one host for each name."""
        addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(names, 1)}
        lines = ["127.0.0.1 localhost", *(f"{address} {name}" for name, address in addresses.items())]
        self._switch = self._host("switch", "", lines)
        _on(self._switch, f"ip link add {BRIDGE} type bridge", f"ip link set {BRIDGE} up")
        for name, address in addresses.items():
            self.by_name[name] = self._host(name, address, lines)
            self._plug_in(self.by_name[name])

    def unplug(self, name: str) -> None:
        """Pull a host's cable."""
        assert self._switch is not None
        _on(self._switch, f"ip link set {name} down")

    def plug_in_again(self, name: str) -> None:
        """Put a host's cable back."""
        assert self._switch is not None
        _on(self._switch, f"ip link set {name} up")

    def end(self) -> None:
        """End every host."""
        for host in [*self.by_name.values(), *([self._switch] if self._switch else [])]:
            host.end()

    def _host(self, name: str, address: str, lines: Sequence[str]) -> Host:
        folder = self.folder / name
        (folder / "tmp").mkdir(parents=True)
        (folder / "hosts").write_text("\n".join(lines) + "\n")
        keeper = subprocess.Popen(
            # However the test process ends, the host ends with it.
            ["setpriv", "--pdeathsig=KILL", "unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--kill-child",
             "--mount-proc", "sh", "-c", FIRST_PROCESS, "sh", name, str(folder)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert keeper.stdout is not None
        first_line = keeper.stdout.readline()
        if first_line != "ready\n":
            raise RuntimeError(f"host {name} does not start: {first_line}{keeper.communicate()[0]}")
        (first,) = psutil.Process(keeper.pid).children()
        return Host(name=name, address=address, folder=folder, keeper=keeper, first_pid=first.pid)

    def _plug_in(self, host: Host) -> None:
        switch = self._switch
        assert switch is not None
        _on(
            switch,
            f"ip link add {host.name} type veth peer name {INTERFACE}",
            f"ip link set {host.name} master {BRIDGE} up",
        )
        # The other end is handed over from outside, where both hosts' process ids are known.
        inside = ["nsenter", f"--target={switch.first_pid}", "--net"]
        _run(*inside, *f"ip link set {INTERFACE} netns {host.first_pid}".split())
        _on(host, f"ip address add {host.address}/24 dev {INTERFACE}", f"ip link set {INTERFACE} up")


@contextlib.contextmanager
def hosts(folder: Path, names: Sequence[str]) -> Iterator[Hosts]:
    """Make hosts that last as long as the context."""
    made = Hosts(folder)
    try:
        made.start(names)
        yield made
    finally:
        made.end()


def environment_of_hosts() -> dict[str, str]:
    """Return the environment of every process on a host. Ray keeps its files in /tmp/ray, which is the host's own."""
    return bare_environment(PYTHONPATH=str(ROOT), COLUMNS="100", OMP_NUM_THREADS="1", RAY_TMPDIR="/tmp")


def _pid_namespace(pid: int) -> Path:
    """Return the name of a process's namespace of process ids."""
    return Path(f"/proc/{pid}/ns/pid").readlink()


def _on(host: Host, *commands: str) -> None:
    for command in commands:
        host.run(*command.split())


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return done.stdout
