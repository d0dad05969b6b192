"""The check of an address: Ray's head, its dashboard, something else, or a cluster of other versions."""

from __future__ import annotations

import http.client
import json
import os
import platform
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import ray

from harness.cluster.ray_internals import PROBE, TOKEN_VARIABLES, find_address
from harness.errors import ClusterUnreachable, UsageError
from harness.network import connection_fault

HEAD_PORT = 6379
ANSWER_S = 15.0
"""Seconds that a head has to answer. It takes milliseconds; a process that imports Ray takes one or two seconds."""
TOKEN_REFUSED = ("InvalidAuthToken", "AuthenticationError", "Unauthenticated")


def check_cluster(address: str) -> None:
    """Check within seconds that Ray's head answers at an address, with the versions that are installed here.

    Args:
        address: host:port, or auto.

    Raises:
        UsageError: this is no address of Ray's head.
        ClusterUnreachable: nobody answers, something else does, a token is wanted, or versions differ.
    """
    if "://" in address:
        raise UsageError(_wrong_scheme(address))
    place = _found() if address == "auto" else address
    host, _, port = place.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"--address {address!r} is not host:port, as in 10.0.0.1:{HEAD_PORT}")
    if (fault := connection_fault(host.strip("[]"), int(port))) is not None:
        raise ClusterUnreachable(
            f"no Ray cluster answers at {place} ({fault}); check --address or RAY_ADDRESS, "
            "or leave both out to start a local Ray"
        )
    if _speaks_http(place):
        raise ClusterUnreachable(
            f"a web server answers at {place}, such as Ray's dashboard; --address of this command is Ray's own port, "
            f"as in {host}:{HEAD_PORT}. The dashboard is for `harness submit`"
        )
    _check_versions(place, _ask_head(place, may_use_token=address == "auto"))


def _wrong_scheme(address: str) -> str:
    host = address.partition("://")[2].partition("/")[0].rpartition(":")[0] or "head"
    what = "a Ray Client's address" if address.startswith("ray://") else "a dashboard's address"
    return (
        f"--address {address} is {what}; this command wants that of Ray's own port, as in {host}:{HEAD_PORT}. "
        "A dashboard's is for `harness submit`"
    )


def _found() -> str:
    try:
        return find_address()
    except ConnectionError as error:
        raise ClusterUnreachable(
            "no Ray runs on this node, which --address auto asks for; give a cluster's host:port, "
            "or leave --address and RAY_ADDRESS out to start a local Ray"
        ) from error


def _speaks_http(place: str) -> bool:
    """Return whether HTTP is spoken there. Ray's head speaks gRPC, which ends such a connection at once."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://{place}/", timeout=2.0).close()
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError, http.client.HTTPException):
        return False
    return True


def _ask_head(place: str, *, may_use_token: bool) -> dict[str, str]:
    """Return the cluster's versions; empty if it does not report them.

    Args:
        place: host:port.
        may_use_token: send a token that is in the user's home, as Ray does for a cluster that it found itself.
    """
    environment = dict(os.environ)
    if may_use_token and os.access(_token_file(), os.R_OK):
        environment.setdefault("RAY_AUTH_MODE", "token")
    command = [sys.executable, "-P", "-c", PROBE, place]
    late = False
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            out, err = process.communicate(timeout=ANSWER_S)
        except subprocess.TimeoutExpired:
            late = True
            process.kill()
            out, err = process.communicate()
    if any(text in err for text in TOKEN_REFUSED):
        raise ClusterUnreachable(_token_wanted(place))
    if process.returncode:
        why = f"does not answer as Ray's head within {ANSWER_S:.0f} s" if late else f"is no head of Ray: {_last(err)}"
        raise ClusterUnreachable(f"what listens at {place} {why}; check --address or RAY_ADDRESS")
    versions: dict[str, str] = json.loads(out) or {}
    return versions


def _token_wanted(place: str) -> str:
    path = _token_file()
    given = [name for name in TOKEN_VARIABLES if os.environ.get(name)]
    if os.environ.get("RAY_AUTH_MODE") == "token":
        return f"the cluster at {place} refused the token that {' and '.join(given)} give; use the token of its head"
    if os.access(path, os.R_OK):
        return (
            f"the cluster at {place} wants a token, and {path} holds one: with RAY_AUTH_MODE=token it is used; another "
            "one can be given in RAY_AUTH_TOKEN"
        )
    return (
        f"the cluster at {place} wants a token: set RAY_AUTH_MODE=token, and give its head's token in "
        f"RAY_AUTH_TOKEN or in the file that RAY_AUTH_TOKEN_PATH names ({path}, if it is not set)"
    )


def _token_file() -> Path:
    """Return the file in which Ray looks for a token."""
    home = os.environ.get("HOME") or os.sep
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path(home) / ".ray" / "auth_token")


def _check_versions(place: str, versions: dict[str, str]) -> None:
    """Compare as Ray does: its own version exactly, and Python's without the last number."""
    here = {"Ray": ray.__version__, "Python": platform.python_version()}
    there = {"Ray": versions.get("ray_version", here["Ray"]), "Python": versions.get("python_version", here["Python"])}
    same = there["Ray"] == here["Ray"] and there["Python"].split(".")[:2] == here["Python"].split(".")[:2]
    if not same:
        raise ClusterUnreachable(
            f"the cluster at {place} runs Ray {there['Ray']} with Python {there['Python']}, and here are Ray "
            f"{here['Ray']} and Python {here['Python']}; install the cluster's versions here, or use `harness submit`"
        )


def _last(text: str) -> str:
    """Return the last line of a traceback, which has the error."""
    return (text.strip().splitlines() or ["it ends the connection"])[-1]
