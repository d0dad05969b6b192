"""The random generators that a network may draw from: torch's own, of the host and of the device in use."""

from __future__ import annotations

import torch
from torch import Tensor


def seed_generators(seed: int, device: torch.device) -> None:
    """As `torch.manual_seed`, which also visits every kind of device that this process never uses: 2 ms of an epoch."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def random_state(device: torch.device) -> Tensor:
    """All that `restore_random_state` needs: uint8 [bytes], on the host."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return torch.cat(states)


def restore_random_state(state: Tensor, device: torch.device) -> None:
    """Go on drawing where `random_state` was taken."""
    host_bytes = torch.get_rng_state().numel()
    torch.set_rng_state(state[:host_bytes].clone())
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[host_bytes:].clone(), device)
