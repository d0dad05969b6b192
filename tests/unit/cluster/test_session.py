"""The choice of the Ray cluster to connect to."""

from __future__ import annotations

import socket
import time

import pytest
from ray._private import services

from harness.cluster import session
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
