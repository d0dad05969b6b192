"""`harness doctor`: the environment of a sweep: versions, devices, a Ray cluster and its token, a tracking store."""

from __future__ import annotations

import os
import platform
import resource
import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.cli.output import wrap
from harness.errors import ExitCode, HarnessError
from harness.launch.lock import lock_fault
from harness.package import version_of

Status = Literal["ok", "note", "fail"]

_PACKAGES = ("resnet-harness", "torch", "torchvision", "ray", "mlflow", "numpy", "pandas", "scikit-learn")
_UV = ("UV", "UV_RUN_RECURSION_DEPTH")
"""Variables that `uv run` sets."""
_LONGEST_TMPDIR = 36
"""Longest TMPDIR in bytes; see `harness.cluster.session.LONGEST_FOLDER`, which has `/ray` at its end."""
_SHARED_MIB, _DESCRIPTORS = 1024, 1024
"""Shared memory and file descriptors that eight decoders of whole photographs can work with."""
_ON_401 = (
    "A 401 or an authentication error from Ray means that the cluster wants its token: set RAY_AUTH_MODE=token and "
    "give the cluster's token in RAY_AUTH_TOKEN or in the file that RAY_AUTH_TOKEN_PATH names (~/.ray/auth_token, if "
    "not set). Recent versions of Ray write that file when a program starts a Ray of its own; this harness does not"
)


@dataclass(frozen=True, kw_only=True)
class Check:
    """Result of one check."""

    name: str
    status: Status
    detail: str


def diagnose(tracking_uri: str, address: str | None, environment: Mapping[str, str]) -> list[Check]:
    """Run every check; nothing is created or started, and no secret is shown."""
    return [
        *_versions(),
        *_devices(),
        *_monitor(),
        *_surroundings(environment),
        _ray_address(address),
        _ray_token(environment),
        _tracking(tracking_uri),
    ]


def as_text(checks: Iterable[Check]) -> str:
    """Return the checks as text, one or more lines each."""
    return "\n".join(
        wrap(check.detail, first=f"{check.status:<5} {check.name:<14} ", later=" " * 21) for check in checks
    )


def exit_code(checks: Iterable[Check]) -> ExitCode:
    """Return UNREACHABLE if a check failed."""
    return ExitCode.UNREACHABLE if any(check.status == "fail" for check in checks) else ExitCode.OK


def _versions() -> Iterator[Check]:
    yield Check(name="python", status="ok", detail=f"{platform.python_version()} on {platform.platform()}")
    for name in _PACKAGES:
        version = version_of(name)
        yield Check(name=name, status="ok" if version else "note", detail=version or "not installed")


def _devices() -> Iterator[Check]:
    import torch

    yield Check(name="cpu", status="ok", detail=f"{len(os.sched_getaffinity(0))} cores for this process")
    if not torch.cuda.is_available():
        yield Check(name="gpu", status="note", detail="none that torch can use: trials train on the CPU")
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        detail = f"{device.name}, {device.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
        yield Check(name=f"gpu {index}", status="ok", detail=detail)


def _monitor() -> Iterator[Check]:
    """Check which device facts can be watched while trials run."""
    from harness.measure.nvml import NoDevice
    from harness.measure.probe import probe

    yield Check(name="monitor host", status="ok", detail="processors and memory")
    try:
        devices = probe()
    except NoDevice as reason:
        yield Check(name="monitor gpu", status="note", detail=f"nothing is read of GPUs: {reason}")
        return
    for device in devices:
        lacking = "; ".join(f"{metric}: {why}" for metric, why in device.absent.items())
        detail = f"{device.name} {device.uuid} reports {', '.join(device.readable) or 'nothing'}"
        yield Check(
            name="monitor gpu",
            status="note" if lacking else "ok",
            detail=f"{detail}. Not: {lacking}" if lacking else detail,
        )


def _surroundings(environment: Mapping[str, str]) -> Iterator[Check]:
    """Yield what of this machine and user stands in the way of a run, or changes it."""
    if shlex.quote(sys.executable) != sys.executable:
        detail = (
            f"Ray puts {sys.executable} into a shell command as it is. Runs on this machine start all the same; for a "
            "cluster's nodes make the environment at a path of letters, digits and . _ - /"
        )
        yield Check(name="environment", status="note", detail=detail)
    if any(name in environment for name in _UV):
        detail = "uv started this command; workers run this interpreter, and the current folder is not copied"
        yield Check(name="uv", status="note", detail=detail)
    folder = environment.get("RAY_TMPDIR") or environment.get("TMPDIR") or ""
    if len(os.fsencode(folder)) > _LONGEST_TMPDIR:
        detail = f"{folder} is too long for the paths of sockets; Ray's and the decoders' are below /tmp instead"
        yield Check(name="temporary files", status="note", detail=detail)
    yield from _decoders()
    if (fault := lock_fault(Path.cwd())) is not None:
        yield Check(name="storage lock", status="note", detail=fault)
    home = Path(environment.get("HOME") or os.sep)
    if not os.access(home, os.W_OK):
        yield Check(name="home", status="note", detail=f"{home} cannot be written; nothing is cached between commands")


def _decoders() -> Iterator[Check]:
    """Yield the limits of this machine on processes that decode photographs, if they are low."""
    from workloads.datasets.room import SHARED_MEMORY

    low = []
    try:
        found = os.statvfs(SHARED_MEMORY)
        free_mib = found.f_bavail * found.f_frsize >> 20
        if free_mib < _SHARED_MIB:
            low.append(f"{SHARED_MEMORY} has {free_mib} MiB free (in a container: --shm-size=8g)")
    except OSError as error:
        low.append(f"{SHARED_MEMORY} cannot be used: {error.strerror}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _DESCRIPTORS:
        low.append(f"a process may open {hard} files (ulimit -Hn)")
    if low:
        detail = f"{'; '.join(low)}: little for data sets of photographs, which may need fewer `decoders`"
        yield Check(name="decoders", status="note", detail=detail)


def _ray_address(address: str | None) -> Check:
    if address is None:
        detail = "RAY_ADDRESS is not set: a run starts a Ray of its own here"
        return Check(name="ray address", status="ok", detail=detail)
    try:
        from harness.cluster.probe import check_cluster  # imports Ray

        check_cluster(address)
    except ImportError as error:
        return Check(name="ray address", status="fail", detail=f"Ray cannot be imported: {error}")
    except HarnessError as error:
        return Check(name="ray address", status="fail", detail=str(error))
    return Check(name="ray address", status="ok", detail=f"{address}: Ray's head answers, with the versions of here")


def _ray_token(environment: Mapping[str, str]) -> Check:
    mode = environment.get("RAY_AUTH_MODE") or None
    home = Path(environment.get("HOME") or os.sep)
    file = Path(environment.get("RAY_AUTH_TOKEN_PATH") or home / ".ray" / "auth_token")
    token = (
        "in RAY_AUTH_TOKEN" if environment.get("RAY_AUTH_TOKEN") else f"in {file}" if os.access(file, os.R_OK) else None
    )
    detail = f"RAY_AUTH_MODE is {mode or 'not set'}; a token is {token or 'nowhere'}. {_ON_401}"
    consistent = (mode == "token") == (token is not None)
    return Check(name="ray token", status="ok" if consistent else "note", detail=detail)


def _tracking(tracking_uri: str) -> Check:
    from harness.tracking import address
    from harness.tracking.recorder import connect

    try:
        uri = address.resolve(tracking_uri)
        database = address.sqlite_path(uri)
        if database is not None and not database.exists():
            return Check(
                name="tracking", status="ok", detail=f"{address.display(uri)}: not there yet; the first run creates it"
            )
        connect(uri).check()
    except HarnessError as error:
        return Check(name="tracking", status="fail", detail=str(error))
    return Check(name="tracking", status="ok", detail=f"{address.display(uri)}: answers")
