"""Every private name of Ray that we use. Only this module names them; a test lists those that a version of Ray lacks.

Parts of Ray Train are imported at their first use: they take a second, and looking at a cluster needs none of them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import ray

from harness import lies_in


@dataclass(frozen=True, kw_only=True)
class PrivateName:
    """A name that is not part of Ray's API."""

    path: str
    """Module and name, as `package.module:name` or `package.module:Class.name`."""
    purpose: str
    """Our use of it."""
    without: str
    """The consequence if a version of Ray no longer has it."""

    def find(self) -> Any:
        """Return the object itself.

        Raises:
            ImportError, AttributeError: this version of Ray has no such name.
        """
        module, _, names = self.path.partition(":")
        found: Any = import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
        return found


_CALLBACKS = "ray.train.v2._internal.callbacks"
PRIVATE_NAMES = {
    "find_address": PrivateName(
        path="ray._private.services:get_ray_address_from_environment",
        purpose="finds the cluster that `--address auto` means, so that a dead one is noticed in seconds",
        without="`--address auto` fails; give host:port",
    ),
    "enable_cluster": PrivateName(
        path="ray._private.ray_constants:ENABLE_RAY_CLUSTER",
        purpose="keeps a local Ray on loopback in this process, which has read the environment already",
        without="a local Ray listens on every interface",
    ),
    "uv_hook": PrivateName(
        path="ray._private.ray_constants:RAY_ENABLE_UV_RUN_RUNTIME_ENV",
        purpose="keeps Ray from shipping the current folder and starting workers by uv if this command was",
        without="`uv run harness run` copies the current folder, and may wait for minutes",
    ),
    "job_config": PrivateName(
        path="ray.job_config:JobConfig",
        purpose="by `_client_job` keeps the driver's current folder off the search path of the workers",
        without="a folder `models` where the command is given may be imported in place of ours",
    ),
    "read_config": PrivateName(
        path="ray._raylet:Config.initialize",
        purpose="has this process use the token of its own local Ray",
        without="a local Ray does not start; set RAY_AUTH_MODE=disabled",
    ),
    "gcs_client": PrivateName(
        path="ray._raylet:GcsClient",
        purpose="asks an address whether it is Ray's head, before Ray would wait for minutes",
        without="`--address` fails",
    ),
    "cluster_metadata": PrivateName(
        path="ray._common.usage.usage_lib:get_cluster_metadata",
        purpose="compares the versions of the cluster with those here",
        without="`--address` fails",
    ),
    "available_resources": PrivateName(
        path="ray._private.state:available_resources_per_node",
        purpose="starts no group where other work uses the room",
        without="no sweep starts",
    ),
    "jobs": PrivateName(
        path="ray._private.state:jobs",
        purpose="names the jobs that use the room which a sweep waits for",
        without="no sweep starts",
    ),
    "worker_logs": PrivateName(
        path="ray._private.worker:_worker_logs_enabled",
        purpose="keeps messages of Ray's worker processes out of our output",
        without="such messages are mixed into the progress display",
    ),
    "trainer": PrivateName(
        path="ray.train.v2.api.data_parallel_trainer:DataParallelTrainer",
        purpose="starts workers without torch in the driver and in controllers; its public subclass loads torch",
        without="no worker group starts",
    ),
    "default_callbacks": PrivateName(
        path="ray.train.v2.api.data_parallel_trainer:DataParallelTrainer._create_default_callbacks",
        purpose="leaves out callbacks that start processes which nobody uses",
        without="each worker group starts two processes more",
    ),
    "datasets_callback": PrivateName(
        path=f"{_CALLBACKS}:DatasetsCallback",
        purpose="is left out: it starts a process for Ray's data sets",
        without="it may be started again under another name",
    ),
    "placement_group_cleaner": PrivateName(
        path=f"{_CALLBACKS}.placement_group_callback:PlacementGroupCleanerCallback",
        purpose="is left out: it removes the placement groups of a dead controller, as we do",
        without="it may be started again under another name",
    ),
    "controller_callback": PrivateName(
        path="ray.train.v2._internal.execution.callback:ControllerCallback",
        purpose="runs code of ours in Ray Train's controller",
        without="no worker group starts",
    ),
    "make_placement_group": PrivateName(
        path="ray.train.v2._internal.execution.worker_group.worker_group:placement_group",
        purpose="is replaced, so that placement groups have names by which those of lost groups are removed",
        without="no worker group starts; an assertion says so",
    ),
    "startup_timeout": PrivateName(
        path="ray.train.v2._internal.exceptions:WorkerGroupStartupTimeoutError",
        purpose="tells a group that found no room from one that failed",
        without="no worker group starts",
    ),
    "failure_config": PrivateName(
        path="ray.train.v2.api.config:FailureConfig",
        purpose="sets `controller_failure_limit`, which the public one of older versions lacks",
        without="no worker group starts",
    ),
    "jobs_request": PrivateName(
        path="ray.job_submission:JobSubmissionClient._do_request",
        purpose="gives each request to the Jobs API a deadline, and asks for Ray's version",
        without="`harness submit` and its kin fail",
    ),
    "jobs_address": PrivateName(
        path="ray.dashboard.utils:get_address_for_submission_client",
        purpose="finds the dashboard of a cluster that is given by Ray's own address",
        without="give the dashboard's address, http://head:8265",
    ),
}
"""Short name -> private name. `harness.submit.driver` also reads an internal environment variable of Ray."""


def find_address() -> str:
    """Return the address of a Ray cluster that runs on this node, as Ray resolves `auto`.

    Raises:
        ConnectionError: no cluster runs here.
    """
    found: str = PRIVATE_NAMES["find_address"].find()("auto", None)
    return found


MAY_BE_JOINED = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Variable that Ray reads on every system, despite its name: at 0 no computer can join, and all listen on 127.0.0.1."""
TOKEN_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Variables by which a user chooses the tokens of a cluster."""
UV_VARIABLE = "RAY_ENABLE_UV_RUN_RUNTIME_ENV"


@contextlib.contextmanager
def local_environment() -> Iterator[None]:
    """Set what a local Ray needs in the environment of this process and of those that it starts, then undo it.

    The Ray listens on loopback alone and wants a token that only these processes know. By itself Ray would write one to
    the user's home, and every later cluster on this machine would want it. The user's own variables win.
    """
    from ray._private import ray_constants

    added: dict[str, str] = {}
    if MAY_BE_JOINED not in os.environ:
        added[MAY_BE_JOINED] = "0"
    if not any(name in os.environ for name in TOKEN_VARIABLES):
        added |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    before = ray_constants.ENABLE_RAY_CLUSTER
    os.environ.update(added)
    if MAY_BE_JOINED in added:
        ray_constants.ENABLE_RAY_CLUSTER = False  # which has read the environment already
    PRIVATE_NAMES["read_config"].find()("")
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        for name in added:
            os.environ.pop(name, None)
        PRIVATE_NAMES["read_config"].find()("")


@contextlib.contextmanager
def without_uv_hook() -> Iterator[None]:
    """Have workers run this interpreter, also if `uv run` started this command. The user's own variable wins."""
    from ray._private import ray_constants

    before = ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV
    if UV_VARIABLE not in os.environ:
        ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = False
    try:
        yield
    finally:
        ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV = before


def job_config() -> Any:
    """Return settings of a job whose workers import nothing from the driver's current folder.

    Ray would put that folder first on their search path. It does not for jobs of its client, which may run anywhere. If
    our packages lie in the current folder, as in a checkout, workers may need it.
    """
    return PRIVATE_NAMES["job_config"].find()(_client_job=not lies_in(os.curdir))


PROBE = """
import json, sys
from ray._common.usage.usage_lib import get_cluster_metadata
from ray._raylet import GcsClient
print(json.dumps(get_cluster_metadata(GcsClient(address=sys.argv[1]))))
"""
"""Program that prints the versions of the cluster at an address. Ray's client retries for minutes, so that a process
of its own runs it, which can be ended; it needs nothing of ours."""


def silence_worker_messages() -> None:
    """Keep the output of Ray's worker processes out of this process's output."""
    ray._private.worker._worker_logs_enabled = False  # noqa: SLF001


def replace_placement_group_maker(make: Callable[..., Any]) -> None:
    """Have Ray Train's controller, in whose process this runs, make its placement groups with a function of ours."""
    module = import_module("ray.train.v2._internal.execution.worker_group.worker_group")
    assert hasattr(module, "placement_group"), "Ray Train makes its placement groups elsewhere"
    vars(module)["placement_group"] = make


def death_of(error: Exception) -> BaseException | None:
    """Return Ray Train's record of a worker that died; None for a worker that raised an error."""
    death: BaseException | None = getattr(error, "health_check_failure", None)
    return death


def raised_in_worker(error: Exception) -> BaseException:
    """Return the error that a worker raised, without Ray Train's wrapper; the wrapper if it holds no such error."""
    raised: BaseException = getattr(error, "_base_exc", error)
    return raised


def is_startup_timeout(error: BaseException) -> bool:
    """Return whether a worker group ended because it did not get its resources in time."""
    timeout: Any = PRIVATE_NAMES["startup_timeout"].find()
    return isinstance(getattr(error, "controller_failure", None), timeout)
