"""A worker process: state that could leak from one trial into the next is reset, and its hardware is described."""

from __future__ import annotations

import gc
import os
import platform
import socket
import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata

import torch
from torch import Tensor

from harness.engine.arithmetic import configure_arithmetic
from harness.engine.context import TrialContext
from harness.engine.distributed import all_objects
from harness.measure.identity import cuda_uuid, processor_name
from harness.measure.peaks import peaks_in_words
from harness.schema import Tag
from harness.trial import Trial
from workloads.datasets.spec import DatasetSpec, LoadedDataset

DECODERS = ("torchvision", "pillow")
"""Packages that decode the files of photographs."""


def prepare_process(trial: Trial, device: torch.device) -> None:
    """Make a warm process equal to a fresh one: arithmetic, memory, compiled graphs and seed.

    Seeds are set last, so that the network, which is built next, is the same on all ranks and in every attempt.

    Raises:
        ValueError: the device cannot compute as the recipe says, or an environment variable changes how it computes.
    """
    configure_arithmetic(trial, device, os.environ)  # noqa: TID251  # the environment that this process's libraries see
    if device.type == "cuda":
        _free_memory(device)
    _forget_compiled_graphs(trial.cell_id)
    seed_generators(trial.seed, device)


def _free_memory(device: torch.device) -> None:
    gc.collect()  # networks are part of reference cycles, and hold device memory until those are collected
    torch.cuda.set_device(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)


@lru_cache(maxsize=1)
def _forget_compiled_graphs(cell_id: str) -> None:  # noqa: ARG001  # the cache's key
    """Reset the compiler, except after a call for the same cell: the seeds of a cell share their compiled graphs."""
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


@lru_cache(maxsize=1)
def load_dataset(spec: DatasetSpec, device: torch.device) -> LoadedDataset:
    """Load the data set onto the device; consecutive trials on the same data load it once."""
    return spec.load(device)


def load_everywhere(spec: DatasetSpec, context: TrialContext) -> LoadedDataset:
    """Load the data set onto this rank's device, and wait until every rank has it. All ranks take part.

    Raises:
        ValueError: some rank cannot load it, for example because its node does not see the root. All ranks raise the
            same error, with the names of those nodes, so that none waits for ever.
    """
    data, fault = None, ""
    try:
        data = load_dataset(spec, context.device)
    except (OSError, ValueError) as error:
        fault = f"on {socket.gethostname()}: {error}"
    faults = [fault for fault in dict.fromkeys(all_objects(fault, context.world_size)) if fault]
    if faults or data is None:
        raise ValueError(f"the data set cannot be loaded {'; '.join(faults)}")
    return data


def describe_workers(context: TrialContext) -> dict[str, str]:
    """Return the tags of the trial's run: devices, hosts, versions. All ranks take part.

    A device counts once, however many workers share it. On a CPU, each host counts as a device.
    """
    workers = all_objects((socket.gethostname(), *_device(context.device)), context.world_size)
    hosts = [host for host, _, _ in workers]
    tags = {
        Tag.DEVICE_NAME.value: " + ".join(sorted({name for _, name, _ in workers})),
        Tag.DEVICE_COUNT.value: str(len({(host, key) for host, _, key in workers})),
        Tag.DEVICE_PEAKS.value: "; ".join(dict.fromkeys(peaks_in_words(name) for _, name, _ in workers)),
        Tag.GROUP_WORLD_SIZE.value: str(context.world_size),
        Tag.GROUP_NODES.value: str(len(set(hosts))),
        Tag.GROUP_LAYOUT.value: node_layout(hosts),
        "host.names": " ".join(sorted(set(hosts))),
        "version.torch": torch.__version__,
        **{f"version.{name}": metadata.version(name) for name in DECODERS},
        "version.python": platform.python_version(),
    }
    if context.device.type == "cuda":
        tags["version.cuda"] = str(torch.version.cuda)
        tags["version.cudnn"] = str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    else:
        tags["device.threads_per_worker"] = str(torch.get_num_threads())
    return tags


def node_layout(hosts: Sequence[str]) -> str:
    """Return the ranks of each host, from each rank's host: `alpha: 0 1; beta: 2`."""
    ranks: dict[str, list[str]] = {}
    for rank, host in enumerate(hosts):
        ranks.setdefault(host, []).append(str(rank))
    return "; ".join(f"{host}: {' '.join(here)}" for host, here in ranks.items())


def _device(device: torch.device) -> tuple[str, str]:
    """Return the device's name, and an id that differs between the devices of one host."""
    return device_name(device), cuda_uuid(device) or "cpu"


def device_name(device: torch.device) -> str:
    """Return the name of a GPU from its driver, or the name of the processor."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()


def memory_peak_gib(device: torch.device) -> float | None:
    """Return the peak memory of tensors since `prepare_process`; None if the device does not count it."""
    if device.type != "cuda":
        return None
    return torch.cuda.max_memory_allocated(device) / 2**30


def seed_generators(seed: int, device: torch.device) -> None:
    """Seed like `torch.manual_seed`, but only the kinds of device in use: the others would cost 2 ms per epoch."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def random_state(device: torch.device) -> Tensor:
    """Return all that `restore_random_state` needs: uint8 [bytes], on the host."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return torch.cat(states)


def restore_random_state(state: Tensor, device: torch.device) -> None:
    """Continue the random numbers from the point at which `random_state` was called."""
    host_bytes = torch.get_rng_state().numel()
    torch.set_rng_state(state[:host_bytes].clone())
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[host_bytes:].clone(), device)
