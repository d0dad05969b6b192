"""The workers of a group as one torch process group, made by Ray Train at their start. Only workers load torch."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psutil
import ray
import ray.train
from ray.train.backend import Backend, BackendConfig

INTERFACE_VARIABLES = {"gloo": "GLOO_SOCKET_IFNAME", "nccl": "NCCL_SOCKET_IFNAME"}
LEAVE_S = 30.0
"""Seconds for all workers to leave the group. If one is lost, the others may wait for it."""


@dataclass(frozen=True)
class Rendezvous:
    """The address where the ranks of a group find each other."""

    host: str
    """Address of rank 0's node."""
    port: int
    listen_fd: int
    """File descriptor in rank 0's process: a socket bound to the port, so that no other process can take it."""


@dataclass
class ProcessGroup(BackendConfig):
    """Ray Train's settings of the process group: NCCL for GPUs, gloo for CPUs."""

    device: str
    """cpu or cuda."""
    timeout_s: float = 1800.0
    """Seconds that ranks wait for each other in a collective."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The class that makes and destroys the process group."""
        return _ProcessGroupBackend


class _ProcessGroupBackend(Backend):
    share_cuda_visible_devices = True
    """Whether ranks on one node see each other's GPUs. NCCL needs this to copy from one to another directly."""

    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        rendezvous = worker_group.execute_single(0, _rendezvous)
        worker_group.execute(_init_process_group, rendezvous, backend_config.device, backend_config.timeout_s)

    def on_shutdown(self, worker_group: Any, backend_config: Any) -> None:  # noqa: ARG002
        if len(worker_group) > 1:
            wait: Any = ray.wait
            leaving = worker_group.execute_async(_destroy_process_group)
            wait(leaving, num_returns=len(leaving), timeout=LEAVE_S)


def interface_of(address: str, interfaces: Mapping[str, Any]) -> str | None:
    """Return the name of the interface that holds an address, None if none does.

    Args:
        address: IPv4 or IPv6.
        interfaces: as `psutil.net_if_addrs()` gives them.
    """
    for name, addresses in interfaces.items():
        if any(entry.address.partition("%")[0] == address for entry in addresses):
            return name
    return None


def _bind_to_node_interface() -> None:
    """Have gloo and NCCL use the interface that holds Ray's node address, unless the user chose one.

    By default they use the address that the host name resolves to. This is often 127.0.0.1, where ranks on two hosts
    cannot reach each other.
    """
    name = interface_of(_node_address(), psutil.net_if_addrs())
    for variable in INTERFACE_VARIABLES.values():
        if name is not None:
            os.environ.setdefault(variable, name)


def _check_way_out(variable: str, interfaces: Mapping[str, Any]) -> None:
    """Refuse interfaces that a group on several nodes cannot use. Otherwise the other nodes would refuse connections.

    Args:
        variable: one of `INTERFACE_VARIABLES`; its value may be ours or the user's choice.
        interfaces: as `psutil.net_if_addrs()` gives them.

    Raises:
        RuntimeError: the variable names interfaces that only this node can reach.
    """
    names = os.environ.get(variable, "").split(",")
    if all(name in interfaces and _is_loopback(interfaces[name]) for name in names):
        raise RuntimeError(
            f"{variable}={','.join(names)} on {socket.gethostname()} leads to no other node; start Ray there without "
            "this variable, or with the interface that the nodes share"
        )


def _is_loopback(addresses: Iterable[Any]) -> bool:
    of_network = [entry.address for entry in addresses if entry.family in (socket.AF_INET, socket.AF_INET6)]
    return all(ipaddress.ip_address(address).is_loopback for address in of_network)


def _node_address() -> str:
    get: Any = ray.util.get_node_ip_address
    address: str = get()
    return address


def _rendezvous() -> Rendezvous:
    """Open rank 0's socket. Torch's own would listen on every interface; this one is bound to the node's address."""
    address = _node_address()
    is_here = interface_of(address, psutil.net_if_addrs()) is not None  # not where the network translates addresses
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    bound.bind((address if is_here else "", 0))
    port = bound.getsockname()[1]
    return Rendezvous(host=address, port=port, listen_fd=bound.detach())


def _init_process_group(rendezvous: Rendezvous, device: str, timeout_s: float) -> None:
    """Join the process group. Every worker does it at once.

    Pass the GPU to NCCL. By default it picks the GPU with this rank's number, which may belong to another process.
    """
    import torch.distributed

    backend = "nccl" if device == "cuda" else "gloo"
    context = ray.train.get_context()
    _bind_to_node_interface()
    if context.get_local_world_size() < context.get_world_size():
        _check_way_out(INTERFACE_VARIABLES[backend], psutil.net_if_addrs())
    own: dict[str, Any] = {}
    if device == "cuda":
        from ray.train.torch import get_device

        own["device_id"] = get_device()
        torch.cuda.set_device(own["device_id"])
    # A collective that times out ends the process, since nothing else ends a kernel that waits on the GPU.
    os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "1")
    rank, workers, timeout = context.get_world_rank(), context.get_world_size(), timedelta(seconds=timeout_s)
    listen_fd: dict[str, Any] = {"is_master": True, "master_listen_fd": rendezvous.listen_fd} if rank == 0 else {}
    store: Any = torch.distributed.TCPStore  # type: ignore[attr-defined]  # public, though not to mypy
    own["store"] = store(rendezvous.host, rendezvous.port, workers, timeout=timeout, **listen_fd)
    torch.distributed.init_process_group(backend, rank=rank, world_size=workers, timeout=timeout, **own)


def _destroy_process_group() -> None:
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
