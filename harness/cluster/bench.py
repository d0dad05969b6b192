"""`harness bench` on a Ray cluster: one worker group, bound to the nodes' network interfaces like those of a sweep."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import ray
import ray.train

from harness.cluster.actor import first_cause
from harness.cluster.process_group import ProcessGroup
from harness.cluster.session import RaySession
from harness.cluster.trainer import LeanTrainer
from harness.engine.bench import BenchConfig, bench_worker
from harness.errors import HarnessError, Infeasible
from harness.scheduling.feasibility import infeasibility_reason
from harness.scheduling.types import Shape


def bench_on_cluster(config: BenchConfig, *, address: str | None, placement: str) -> None:
    """Measure the cluster at an address, or a local Ray. The result is a file in the config's folder.

    Args:
        config: settings of the bench. Its device may be `auto`: GPUs if the cluster has some.
        address: address of the cluster; None starts a local Ray.
        placement: pack or spread.

    Raises:
        ClusterUnreachable: nobody answers at the address.
        Infeasible: the cluster has no room for that many workers.
        HarnessError: a worker failed.
    """
    with RaySession(address) as session:
        nodes = session.nodes()
        if config.device == "auto":
            config = replace(config, device="cuda" if any(node.gpus for node in nodes) else "cpu")
        gpus = 1.0 if config.device == "cuda" else 0.0
        shape = Shape(
            workers=config.workers, device=config.device, cpus_per_worker=config.cpus_per_worker, gpus_per_worker=gpus
        )
        if (reason := infeasibility_reason(shape, nodes)) is not None:
            raise Infeasible(reason.replace("scale.workers", "--workers"))
        try:
            _trainer(config, shape, placement).fit()
        except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
            raise HarnessError(f"the bench failed on the cluster: {first_cause(error)}") from error


def _trainer(config: BenchConfig, shape: Shape, placement: str) -> LeanTrainer:
    gpus = {"GPU": shape.gpus_per_worker} if shape.gpus_per_worker else {}
    return LeanTrainer(
        _worker_loop,
        train_loop_config={"bench": config},
        backend_config=ProcessGroup(device=shape.device),
        scaling_config=ray.train.ScalingConfig(
            num_workers=shape.workers,
            use_gpu=bool(gpus),
            resources_per_worker={"CPU": shape.cpus_per_worker, **gpus},
            placement_strategy=placement.upper(),
        ),
        run_config=ray.train.RunConfig(name=f"bench-{uuid.uuid4().hex[:8]}", storage_path=str(config.folder)),
    )


def _worker_loop(config: dict[str, Any]) -> None:
    from harness.cluster.worker import own_device

    bench_worker(config["bench"], rank=ray.train.get_context().get_world_rank(), device=own_device())
