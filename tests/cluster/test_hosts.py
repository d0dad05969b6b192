"""The hosts themselves: properties on which the other tests rely."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.cluster.hosts import Host, Hosts, hosts
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("namespaces")]

CONNECT = "import socket; socket.create_connection(('beta', 7000), timeout=1)"
LISTEN = "import socket; s = socket.create_server(('0.0.0.0', 7000)); print('up', flush=True); s.accept(); s.accept()"


def on(host: Host, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(host.command(*command), capture_output=True, text=True, check=False)


def interfaces() -> set[str]:
    return set(psutil.net_if_addrs())


def test_hosts_have_their_own_names_and_reach_each_other_by_them_until_a_cable_is_pulled(
    pair: Hosts, tmp_path: Path
) -> None:
    alpha, beta = pair.by_name["alpha"], pair.by_name["beta"]
    assert (on(alpha, "hostname").stdout, on(beta, "hostname").stdout) == ("alpha\n", "beta\n")
    server = beta.start(
        ["python3", "-c", LISTEN], env=os.environ | {"PYTHONUNBUFFERED": "1"}, cwd=tmp_path, output=subprocess.PIPE
    )
    assert server.stdout is not None
    assert server.stdout.readline() == "up\n"
    assert on(alpha, "python3", "-c", CONNECT).returncode == 0
    pair.unplug("beta")
    try:
        assert "timed out" in on(alpha, "python3", "-c", CONNECT).stderr
    finally:
        pair.plug_in_again("beta")
    assert on(alpha, "python3", "-c", CONNECT).returncode == 0
    assert server.wait(timeout=10) == 0


def test_everything_on_a_host_ends_when_its_power_fails_and_it_takes_new_work_at_once(
    pair: Hosts, tmp_path: Path
) -> None:
    alpha, beta = pair.by_name["alpha"], pair.by_name["beta"]
    working = [host.start(["sleep", "1000"], env=os.environ, cwd=tmp_path, output=-3) for host in (alpha, beta)]
    # Each host has one process that keeps it alive; a new one enters it after a moment.
    wait_until(lambda: len(alpha.processes()) == len(beta.processes()) == 2, "both hosts work")
    alpha.end_processes()
    assert working[0].wait(timeout=10) != 0
    assert working[1].poll() is None
    assert on(alpha, "hostname").stdout == "alpha\n"
    beta.end_processes()
    assert working[1].wait(timeout=10) != 0


@pytest.mark.parametrize("fault", [None, ValueError])
def test_nothing_is_left_behind_whatever_happened(tmp_path: Path, fault: type[Exception] | None) -> None:
    before = interfaces(), Path("/proc/self/mounts").read_text()
    kept: list[int] = []
    try:
        with hosts(tmp_path, ["alpha", "beta"]) as made:
            made.by_name["alpha"].start(["setsid", "sleep", "1000"], env=os.environ, cwd=tmp_path, output=-3)
            working = made.by_name["beta"].start(["sleep", "1000"], env=os.environ, cwd=tmp_path, output=-3)
            kept = [pid for host in made.by_name.values() for pid in (host.first_pid, host.keeper.pid)]
            if fault is not None:
                raise fault
    except ValueError:
        assert fault is ValueError
    assert working.wait(timeout=10) != 0
    assert len(kept) == 4
    assert not any(map(psutil.pid_exists, kept))
    assert (interfaces(), Path("/proc/self/mounts").read_text()) == before


def test_two_networks_side_by_side_do_not_meet(pair: Hosts, tmp_path: Path) -> None:
    to_beta = CONNECT.replace("'beta'", f"'{pair.by_name['beta'].address}'")
    with hosts(tmp_path, ["alpha"]) as other:
        assert on(other.by_name["alpha"], "python3", "-c", to_beta).returncode != 0
