"""The choice of the Ray cluster to connect to."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray._private import ray_constants, services

from harness.cluster import session
from harness.cluster.ray_internals import MAY_BE_JOINED, TOKEN_VARIABLES
from harness.cluster.session import RaySession
from harness.errors import ClusterUnreachable
from harness.network import CONNECT_TIMEOUT_S


def test_a_cluster_that_ray_remembers_and_that_is_gone_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray itself would try for a minute and a half, and print its libraries' messages."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = f"127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(services, "get_ray_address_from_environment", lambda *_: gone)
    began = time.monotonic()
    with pytest.raises(ClusterUnreachable, match=f"^no Ray cluster answers at {gone} "), RaySession("auto") as session:
        session.connect()
    assert time.monotonic() - began < CONNECT_TIMEOUT_S + 5


def test_auto_on_a_node_without_ray_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(services, "find_gcs_addresses", set)
    monkeypatch.setattr(services, "find_bootstrap_address", lambda _folder: None)
    with (
        pytest.raises(ClusterUnreachable, match=r"^no Ray runs on this node, which --address auto"),
        RaySession("auto") as session,
    ):
        session.connect()


def test_a_session_connects_once_when_it_is_first_used_and_disconnects_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []
    node = {"NodeID": "a", "Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}}
    monkeypatch.setattr(session, "_connect", calls.append)
    monkeypatch.setattr(session, "silence_worker_messages", lambda: None)
    monkeypatch.setattr(session.ray, "nodes", lambda: [node])
    monkeypatch.setattr(session.ray, "shutdown", lambda: calls.append("shutdown"))
    with RaySession("head:6379") as cluster:
        assert calls == []
        assert cluster.has_gpus()
        assert [node.cpus for node in cluster.nodes()] == [2.0]
    cluster.close()
    assert calls == ["head:6379", "shutdown"]


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], tuple[dict[str, Any], dict[str, str]]]:
    """Return a function that pretends to start a local Ray. It returns the settings and the environment of that."""
    seen: list[tuple[dict[str, Any], dict[str, str]]] = []
    monkeypatch.setattr(session.ray, "init", lambda **settings: seen.append((settings, dict(os.environ))))
    monkeypatch.setattr(session.ray, "shutdown", lambda: None)
    monkeypatch.setattr(session, "silence_worker_messages", lambda: None)
    for name in (*TOKEN_VARIABLES, MAY_BE_JOINED, "RAY_TMPDIR", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)

    def start() -> tuple[dict[str, Any], dict[str, str]]:
        with RaySession(None) as made:
            made.connect()
        return seen.pop()

    return start


def test_a_local_ray_has_a_token_of_its_own_that_is_written_nowhere_and_forgotten(local) -> None:
    before = dict(os.environ)
    first, second = (local()[1] for _ in range(2))
    assert first["RAY_AUTH_MODE"] == "token"
    assert len(first["RAY_AUTH_TOKEN"]) == 64
    assert first["RAY_AUTH_TOKEN"] != second["RAY_AUTH_TOKEN"]
    assert dict(os.environ) == before


@pytest.mark.parametrize("name", ["RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"])
def test_tokens_that_a_user_chose_are_left_alone(local, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "disabled")
    _, environment = local()
    assert {key: environment.get(key) for key in TOKEN_VARIABLES} == {
        **dict.fromkeys(TOKEN_VARIABLES),
        name: "disabled",
    }


@pytest.mark.parametrize(
    ("python", "quoted"),
    [
        ("/home/u/my venv/bin/python", "'/home/u/my venv/bin/python'"),
        ("/e[1]/bin/python", "'/e[1]/bin/python'"),
        ("/e$x;y/bin/python", "'/e$x;y/bin/python'"),
    ],
)
def test_workers_start_from_an_environment_at_any_path(
    local, monkeypatch: pytest.MonkeyPatch, python: str, quoted: str
) -> None:
    monkeypatch.setattr(session.sys, "executable", python)
    settings, _ = local()
    assert settings["runtime_env"] == {"py_executable": quoted}


def test_an_ordinary_path_changes_nothing(local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.sys, "executable", "/opt/env-1.2/bin/python3.11")
    assert local()[0]["runtime_env"] is None


def test_a_long_temporary_folder_is_not_used_for_sockets_and_that_is_said(
    local, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMPDIR", "/scratch/u")
    assert local()[0]["_temp_dir"] == "/scratch/u/ray"
    monkeypatch.setenv("TMPDIR", "/scratch/" + 60 * "u")
    assert local()[0]["_temp_dir"] == "/tmp/ray"
    assert "is too long for the sockets of a local Ray" in capsys.readouterr().err


def test_a_local_ray_that_does_not_start_is_told_with_ray_s_whole_message(
    local, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_settings: object) -> None:
        raise RuntimeError("The current node timed out during startup.\nThis could happen because:\n - X is full")

    monkeypatch.setattr(session.ray, "init", init)
    with pytest.raises(ClusterUnreachable, match=r"timed out during startup\. This could happen because: - X is full"):
        local()


def test_ray_takes_no_orders_from_uv(local, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `uv run` Ray would copy the current folder and start workers by uv, as it does if the user asks for it."""
    monkeypatch.delenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", raising=False)
    seen: list[bool] = []
    monkeypatch.setattr(
        session.ray, "init", lambda **_settings: seen.append(ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV)
    )
    monkeypatch.setattr(ray_constants, "RAY_ENABLE_UV_RUN_RUNTIME_ENV", True)
    with contextlib.suppress(Exception):
        local()
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "1")
    with contextlib.suppress(Exception):
        local()
    assert seen == [False, True]
    assert ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV is True
