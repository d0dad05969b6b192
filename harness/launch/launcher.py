"""The two launchers of `harness run`: worker groups on a Ray cluster, or this process alone (or under torchrun)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from harness.launch.device import Devices, ThisMachine
from harness.launch.sweep import Sweep
from harness.options import RunOptions
from harness.scheduling.queue import TrialQueue
from harness.scheduling.types import Snapshot
from harness.signals import StopSignal

if TYPE_CHECKING:
    from harness.cluster.session import RaySession
    from harness.launch.inline import Processes

Show = Callable[[Snapshot], None]


class Launcher(Protocol):
    """Runs the trials of a sweep."""

    is_leader: bool
    """Whether this process leads the sweep. Otherwise it runs trials for the one that does."""
    is_local: bool
    """Whether trials run on this machine only, with its data."""

    @property
    def devices(self) -> Devices:
        """The devices that trials run on."""
        ...

    def run(self, sweep: Sweep, show: Show, stop: StopSignal) -> None:
        """Run every trial without a result to its end, or until a stop is requested."""
        ...

    def follow(self, stop: StopSignal) -> None:
        """Run the trials that the leader leases, if this process is not the leader."""
        ...


@contextlib.contextmanager
def open_launcher(options: RunOptions) -> Iterator[Launcher]:
    """Give the launcher that the options name. Ray is imported and connected when it is first needed, once."""
    if options.launcher == "ray":
        launcher = RayLauncher(options.address)
        with contextlib.closing(launcher):
            yield launcher
        return
    from harness.engine.context import Monitoring
    from harness.launch import inline  # imports torch

    monitoring = Monitoring(visible_devices=options.visible_devices) if options.monitor else None
    may_use_gpus = any(scale.device != "cpu" for scale in options.workload.scales)
    with inline.processes(options.collective_timeout_s, monitoring, may_use_gpus=may_use_gpus) as world:
        yield InlineLauncher(world)


class RayLauncher:
    """Worker groups on the cluster at an address, or on a local Ray that is started only if a trial has to run."""

    is_leader = True

    def __init__(self, address: str | None) -> None:
        self._address = address
        self._session: RaySession | None = None
        self.is_local = address is None

    @property
    def devices(self) -> Devices:
        """The devices of the cluster; those of this machine before a local Ray is started."""
        return ThisMachine() if self.is_local else self._connection()

    def run(self, sweep: Sweep, show: Show, stop: StopSignal) -> None:
        """Run the trials, then disconnect."""
        if not sweep.to_run:
            return
        from harness.cluster.group_settings import GroupSettings
        from harness.cluster.sweep import run_on_cluster

        with self._connection() as session:
            settings = GroupSettings(
                folder=sweep.folder.root,
                collective_timeout_s=sweep.options.collective_timeout_s,
                attempt=sweep.workload.attempt_settings,
                monitor=sweep.options.monitor,
                one_trial=sweep.workload.isolation == "process",
                ray_logs=session.logs,
            )
            run_on_cluster(session, sweep.jobs(), settings, limits=sweep.limits, show=show, stop=stop)

    def follow(self, stop: StopSignal) -> None:
        """Do nothing: the driver always leads."""

    def close(self) -> None:
        """Disconnect."""
        if self._session is not None:
            self._session.close()

    def _connection(self) -> RaySession:
        if self._session is None:
            from harness.cluster.session import RaySession  # imports Ray

            self._session = RaySession(self._address)
        return self._session


class InlineLauncher:
    """This process, or the processes that torchrun started, without Ray."""

    is_local = True

    def __init__(self, world: Processes) -> None:
        self._world = world
        self.devices: Devices = ThisMachine()
        self.is_leader = world.rank == 0

    def run(self, sweep: Sweep, show: Show, stop: StopSignal) -> None:
        """Run the trials in this process and, under torchrun, in those that follow it."""
        from harness.launch import inline

        jobs = sweep.jobs()
        config = inline.InlineConfig(
            folder=sweep.folder.root,
            shapes=tuple(dict.fromkeys(job.shape for job in jobs)),
            attempt=sweep.workload.attempt_settings,
        )
        queue = TrialQueue(jobs, sweep.outbox.append, sweep.limits, sync=sweep.outbox.sync)
        inline.run_rank0(queue, config, self._world, show, stop)

    def follow(self, stop: StopSignal) -> None:
        """Run the trials that rank 0 leases."""
        from harness.launch import inline

        with stop.graceful():
            inline.run_follower(self._world, stop)
