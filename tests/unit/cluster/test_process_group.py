"""Process groups: the rendezvous of a group's workers, and the processes that start beside them."""

from __future__ import annotations

import multiprocessing
import os
import socket
from typing import Any, NamedTuple

import psutil
import pytest
import ray.train

from harness.cluster import process_group
from harness.cluster.process_group import ProcessGroup, Rendezvous, interface_of
from harness.cluster.trainer import UNUSED, LeanTrainer


class Address(NamedTuple):
    address: str
    family: int = socket.AF_INET


INTERFACES = {
    "lo": [Address("127.0.0.1"), Address("::1", socket.AF_INET6), Address("00:00:00:00:00:00", socket.AF_PACKET)],
    "eth0": [Address("10.0.0.7"), Address("fe80::1%eth0", socket.AF_INET6)],
}


@pytest.mark.parametrize(
    ("address", "name"), [("127.0.0.1", "lo"), ("10.0.0.7", "eth0"), ("fe80::1", "eth0"), ("10.0.0.8", None)]
)
def test_the_interface_is_the_one_that_holds_the_address(address: str, name: str | None) -> None:
    assert interface_of(address, INTERFACES) == name


@pytest.mark.parametrize("chosen", [None, "ib0"])
def test_what_the_user_chose_stays(monkeypatch: pytest.MonkeyPatch, chosen: str | None) -> None:
    monkeypatch.setattr(process_group, "_node_address", lambda: "127.0.0.1")
    for variable in process_group.INTERFACE_VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    if chosen is not None:
        monkeypatch.setenv("NCCL_SOCKET_IFNAME", chosen)
    process_group._bind_to_node_interface()
    assert os.environ["GLOO_SOCKET_IFNAME"] == "lo"
    assert os.environ["NCCL_SOCKET_IFNAME"] == (chosen or "lo")


def test_on_several_nodes_an_interface_that_leads_to_no_other_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    with pytest.raises(RuntimeError, match=r"^GLOO_SOCKET_IFNAME=lo on \S+ leads to no other node; start Ray there"):
        process_group._check_way_out("GLOO_SOCKET_IFNAME", INTERFACES)


def test_a_worker_whose_peers_are_elsewhere_looks_before_it_joins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_group, "_node_address", lambda: "10.0.0.7")
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: INTERFACES)
    monkeypatch.setattr(ray.train, "get_context", lambda: Context(0, local=1))
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    with pytest.raises(RuntimeError, match=r"^GLOO_SOCKET_IFNAME=lo on \S+ leads to no other node"):
        process_group._init_process_group(Rendezvous(host="10.0.0.7", port=1, listen_fd=-1), "cpu", 5.0)


@pytest.mark.parametrize("chosen", [None, "eth0", "lo,eth0", "eth9", "^lo"])
def test_on_several_nodes_any_other_choice_is_the_users(monkeypatch: pytest.MonkeyPatch, chosen: str | None) -> None:
    monkeypatch.delenv("NCCL_SOCKET_IFNAME", raising=False)
    if chosen is not None:
        monkeypatch.setenv("NCCL_SOCKET_IFNAME", chosen)
    process_group._check_way_out("NCCL_SOCKET_IFNAME", INTERFACES)


@pytest.mark.parametrize(
    ("address", "listens_on"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("10.9.8.7", "0.0.0.0")]
)
def test_the_ranks_meet_at_a_port_of_rank_0_that_is_taken_for_them(
    monkeypatch: pytest.MonkeyPatch, address: str, listens_on: str
) -> None:
    """If no interface has the address, as behind a network that translates it, rank 0 listens on all interfaces."""
    monkeypatch.setattr(process_group, "_node_address", lambda: address)
    rendezvous = process_group._rendezvous()
    with socket.socket(fileno=rendezvous.listen_fd) as listen_fd:
        assert listen_fd.getsockname()[:2] == (listens_on, rendezvous.port)
    assert rendezvous.host == address


class Context(NamedTuple):
    """A stand-in for Ray Train's context, which gives a worker its rank."""

    rank: int
    local: int = 2
    """Number of workers on this node."""

    def get_world_rank(self) -> int:
        return self.rank

    def get_world_size(self) -> int:
        return 2

    def get_local_world_size(self) -> int:
        return self.local


def be_a_worker(rank: int, meetings: Any, done: Any) -> None:
    import torch.distributed

    process_group._node_address = lambda: "127.0.0.1"
    ray.train.get_context = lambda: Context(rank)
    rendezvous = process_group._rendezvous() if rank == 0 else meetings.get(timeout=60)
    if rank == 0:
        meetings.put(rendezvous)
    process_group._init_process_group(rendezvous, "cpu", 60.0)
    value = torch.tensor([rank + 1.0])
    torch.distributed.all_reduce(value)
    doors = [each.laddr.ip for each in psutil.Process().net_connections("inet") if each.status == psutil.CONN_LISTEN]
    process_group._destroy_process_group()
    done.put((rank, value.item(), set(doors), torch.distributed.is_initialized()))


def test_two_processes_join_compute_together_and_leave() -> None:
    spawn = multiprocessing.get_context("spawn")
    meetings, done = spawn.Queue(), spawn.Queue()
    workers = [spawn.Process(target=be_a_worker, args=(rank, meetings, done)) for rank in range(2)]
    for worker in workers:
        worker.start()
    found = sorted(done.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join(timeout=60)
    assert [(rank, total, is_left) for rank, total, _, is_left in found] == [(0, 3.0, False), (1, 3.0, False)]
    assert all(doors == {"127.0.0.1"} for _, _, doors, _ in found), found


def test_a_worker_on_a_gpu_tells_nccl_which_one_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """This is rank 2 of 3, the second worker of its node: the GPU with its rank's number belongs to another worker."""
    import ray.train.torch
    import torch.distributed

    done: list[Any] = []
    monkeypatch.setattr(process_group, "_node_address", lambda: "127.0.0.1")
    monkeypatch.setattr(ray.train, "get_context", lambda: Context(2))
    monkeypatch.setattr(ray.train.torch, "get_device", lambda: torch.device("cuda", 1))
    monkeypatch.setattr(torch.cuda, "set_device", done.append)
    monkeypatch.setattr(torch.distributed, "TCPStore", lambda *_, **given: done.append(given))
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda kind, **given: done.append((kind, given)))
    process_group._init_process_group(Rendezvous(host="127.0.0.1", port=1, listen_fd=-1), "cuda", 5.0)
    current, of_store, (kind, given) = done
    assert "master_listen_fd" not in of_store, "which is rank 0's"
    assert (current, kind, given["device_id"], given["rank"]) == (
        torch.device("cuda", 1), "nccl", torch.device("cuda", 1), 2
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")  # Ray's own use of Ray Data
def test_ray_train_starts_no_process_that_nobody_uses() -> None:
    """Ray itself would start each unused callback. One that Ray no longer starts should no longer be named."""
    trainer = LeanTrainer(lambda: None, backend_config=ProcessGroup(device="cpu"))
    theirs = super(LeanTrainer, trainer)._create_default_callbacks()
    assert {type(callback) for callback in theirs} >= set(UNUSED)
    ours = trainer._create_default_callbacks()
    assert [type(callback) for callback in ours] == [type(each) for each in theirs if type(each) not in UNUSED]
