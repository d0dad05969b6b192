"""Gloo and NCCL bound to the interface that holds Ray's node address, on every node.

Left alone they bind to whatever the host name resolves to, often 127.0.0.1, and ranks on two hosts never meet.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import psutil
import ray
from ray.train.backend import Backend
from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend

INTERFACE_VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")


def interface_of(address: str, interfaces: Mapping[str, Any]) -> str | None:
    """The name of the interface that holds an address, None where none does.

    Args:
        address: IPv4 or IPv6.
        interfaces: as `psutil.net_if_addrs()` gives them.
    """
    for name, addresses in interfaces.items():
        if any(entry.address.partition("%")[0] == address for entry in addresses):
            return name
    return None


def bind_to_node_interface() -> None:
    """Set the interface of this worker's process group, unless the user did."""
    node_address: Any = ray.util.get_node_ip_address
    name = interface_of(node_address(), psutil.net_if_addrs())
    for variable in INTERFACE_VARIABLES:
        if name is not None:
            os.environ.setdefault(variable, name)


class _BoundBackend(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        worker_group.execute(bind_to_node_interface)
        super().on_start(worker_group, backend_config)


class BoundTorchConfig(TorchConfig):
    """Ray's torch backend, with the network interface chosen before the process group is made."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The backend that Ray Train starts on each worker."""
        return _BoundBackend
