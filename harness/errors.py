"""The exceptions that users see, and their exit codes.

* HarnessError                  1  something in a sweep failed
  x UsageError                  2  a command or its arguments
    + WorkloadError             2  a workload file; knows file and line
    + SweepNotFound             2  no sweep of that name
  x StorageError                2  a storage folder that cannot be read or written
  x Infeasible                  3  more than this cluster can ever give
  x Unreachable                 4
    + ClusterUnreachable        4  no Ray cluster at that address
    + TrackingUnreachable       4  no MLflow server at that address
  x Stopped                     5  ended by `harness stop`, SIGTERM or a closed queue

Every class takes one message: the fault, the value, the allowed values, and the next step for the user.
All can be pickled, because they cross processes.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit statuses of a command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INFEASIBLE = 3
    UNREACHABLE = 4
    STOPPED = 5
    INTERRUPTED = 130


def message_of(error: BaseException) -> str:
    """Return an error's whole message in one line; the name of its class if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


class HarnessError(Exception):
    """Root of all errors that are shown to users as one message, without a traceback."""

    exit_code = ExitCode.FAILED


class UsageError(HarnessError):
    """A command or an argument that cannot be used."""

    exit_code = ExitCode.USAGE


class WorkloadError(UsageError):
    """A workload file that is missing, malformed or asks for something that does not exist."""


class SweepNotFound(UsageError):
    """A sweep name or id that the tracking server does not know."""


class StorageError(HarnessError):
    """A storage folder that cannot be read or written."""

    exit_code = ExitCode.USAGE


class Infeasible(HarnessError):
    """A request that this cluster can never fulfil."""

    exit_code = ExitCode.INFEASIBLE


class Unreachable(HarnessError):
    """A service that does not answer."""

    exit_code = ExitCode.UNREACHABLE


class ClusterUnreachable(Unreachable):
    """No Ray cluster answers at the address."""


class TrackingUnreachable(Unreachable):
    """No MLflow server answers at the address."""


class Stopped(HarnessError):
    """A sweep that was asked to stop."""

    exit_code = ExitCode.STOPPED
