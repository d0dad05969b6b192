"""The kinds of addresses, told apart before Ray's client would wait for minutes."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator

import pytest
import ray

from harness.cluster import probe
from harness.cluster.probe import check_cluster
from harness.errors import ClusterUnreachable, UsageError

VERSIONS = {"ray_version": ray.__version__, "python_version": __import__("platform").python_version()}


@pytest.fixture
def listener() -> Iterator[str]:
    """Listen at a port, accept connections, and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def no_http(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "_speaks_http", lambda _place: False)


def head_that_prints(monkeypatch: pytest.MonkeyPatch, out: str = "", err: str = "", code: int = 0) -> None:
    """Put a program in the place of the one that asks Ray's head."""
    program = f"import sys; sys.stdout.write({out!r}); sys.stderr.write({err!r}); sys.exit({code})"
    monkeypatch.setattr(probe, "PROBE", program)


@pytest.mark.parametrize("address", ["http://head:8265", "https://head:8265/x", "ray://head:10001"])
def test_another_kind_of_address_is_named_and_rays_port_is_shown(address: str) -> None:
    with pytest.raises(UsageError, match=r"as in head:6379"):
        check_cluster(address)


@pytest.mark.parametrize("address", ["head", "head:", "head:http", ":6379", "[::1]"])
def test_what_is_not_host_and_port_is_refused_at_once(address: str) -> None:
    with pytest.raises(UsageError, match=r"is not host:port, as in 10\.0\.0\.1:6379"):
        check_cluster(address)


@pytest.mark.parametrize("status", [200, 404])
def test_a_dashboards_port_is_told_from_rays_own(status: int) -> None:
    class Dashboard(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Dashboard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(
            ClusterUnreachable, match=r"a web server answers .* Ray's own port, as in 127\.0\.0\.1:6379"
        ):
            check_cluster(f"127.0.0.1:{server.server_port}")
        server.shutdown()


def test_something_that_never_answers_is_left_after_seconds(monkeypatch: pytest.MonkeyPatch, listener: str) -> None:
    monkeypatch.setattr(probe, "ANSWER_S", 2.0)
    with pytest.raises(ClusterUnreachable, match=r"does not answer as Ray's head within 2 s"):
        check_cluster(listener)


@pytest.mark.usefixtures("no_http")
@pytest.mark.parametrize("mode", [None, "token"])
def test_a_token_that_is_wanted_is_explained(
    monkeypatch: pytest.MonkeyPatch, listener: str, tmp_path, mode: str | None
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in probe.TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    head_that_prints(monkeypatch, err="RPC error: InvalidAuthToken: Authentication token is missing", code=1)
    if mode:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
        monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
        with pytest.raises(ClusterUnreachable, match=r"refused the token that RAY_AUTH_MODE and RAY_AUTH_TOKEN give"):
            check_cluster(listener)
        return
    with pytest.raises(ClusterUnreachable, match=r"wants a token: set RAY_AUTH_MODE=token, and give its head's token"):
        check_cluster(listener)
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    with pytest.raises(ClusterUnreachable, match=r"\.ray/auth_token holds one: with RAY_AUTH_MODE=token it is used"):
        check_cluster(listener)


@pytest.mark.usefixtures("no_http")
@pytest.mark.parametrize(
    ("versions", "named"),
    [
        (VERSIONS | {"ray_version": "2.9.3"}, "runs Ray 2.9.3 with Python "),
        (VERSIONS | {"python_version": "3.8.10"}, f"runs Ray {ray.__version__} with Python 3.8.10, and here are"),
    ],
)
def test_a_cluster_of_other_versions_is_named_with_both(
    monkeypatch: pytest.MonkeyPatch, listener: str, versions: dict[str, str], named: str
) -> None:
    head_that_prints(monkeypatch, json.dumps(versions))
    with pytest.raises(ClusterUnreachable, match=named):
        check_cluster(listener)


@pytest.mark.usefixtures("no_http")
@pytest.mark.parametrize("versions", [VERSIONS, None, VERSIONS | {"python_version": "3.11.99"}])
def test_a_cluster_that_ray_would_join_passes(
    monkeypatch: pytest.MonkeyPatch, listener: str, versions: dict[str, str] | None
) -> None:
    if versions and versions["python_version"] == "3.11.99":
        monkeypatch.setattr(probe.platform, "python_version", lambda: "3.11.7")
    head_that_prints(monkeypatch, json.dumps(versions))
    check_cluster(listener)
