"""Ray's client of the Jobs API against servers that give unexpected answers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import ray

from harness.cluster import jobs as room
from harness.cluster.jobs import RayJobs
from harness.errors import ClusterUnreachable, ExitCode, UsageError
from harness.submit.jobs import JobGone, State

Answers = dict[str, tuple[int, Any]]
Serve = Callable[[Answers], str]

VERSION = {"version": "4", "ray_version": ray.__version__, "ray_commit": "x", "session_name": "y"}
JOB = {
    "type": "SUBMISSION",
    "submission_id": "harness-tiny-0123456789ab",
    "status": "FAILED",
    "entrypoint": "exec python -m harness",
    "message": "failed",
    "start_time": 5,
    "driver_exit_code": 3,
}


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Return a function that starts a server with these answers, otherwise 404, and returns its address."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    servers: list[ThreadingHTTPServer] = []

    def start(answers: Answers) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answers.get(self.path, (404, "not here"))
                content = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def refusal(address: str) -> str:
    """Return the message that the user reads, after checking that it is one line with exit code 4."""
    with pytest.raises(ClusterUnreachable) as caught:
        RayJobs(address)
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_cluster_that_wants_a_token_says_which_variables_to_set(serve: Serve) -> None:
    said = refusal("http://" + serve({"/api/version": (401, "Unauthorized: Missing authentication token")}))
    assert "wants its token (401): set RAY_AUTH_MODE=token" in said
    assert "RAY_AUTH_TOKEN_PATH" in said


def test_a_token_of_another_cluster_is_told_from_none(serve: Serve) -> None:
    said = refusal("http://" + serve({"/api/version": (403, "Forbidden: Invalid authentication token")}))
    assert "refuses the token (403)" in said


def test_where_nothing_listens_the_address_is_in_question() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        said = refusal(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert "nothing answers at http://127.0.0.1:" in said
    assert "http://head:8265" in said


@pytest.mark.parametrize("answer", [(200, "<html>hello</html>"), (200, {"name": "x"}), (404, ""), (500, "oops")])
def test_another_server_is_not_taken_for_ray(serve: Serve, answer: tuple[int, Any]) -> None:
    assert "is not Ray's dashboard" in refusal("http://" + serve({"/api/version": answer}))


@pytest.mark.parametrize("version", ["2.9.0", "2.61.0"])
def test_a_ray_that_is_too_old_or_too_new_is_named_with_what_is_needed(serve: Serve, version: str) -> None:
    said = refusal("http://" + serve({"/api/version": (200, {**VERSION, "ray_version": version})}))
    assert f"runs Ray {version}; ray<2.61,>=2.51 is needed" in said


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "ANSWER_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = refusal(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert "takes connections but does not answer" in said


@pytest.mark.parametrize("address", ["http://", "http://:8265", "http://head:port"])
def test_what_is_no_address_is_a_slip_of_the_command(address: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        RayJobs(address)


def test_a_flag_beats_rays_own_variables(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "http://127.0.0.1:1")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")
    address = serve({"/api/version": (200, VERSION)})
    assert RayJobs(f"http://{address}/").ray_version == ray.__version__


def test_a_dashboard_without_its_scheme_is_recognized(serve: Serve) -> None:
    address = serve({"/api/version": (200, VERSION), "/api/jobs/": (200, [JOB])})
    assert RayJobs(address).address == f"http://{address}"


def test_jobs_of_others_are_not_ours(serve: Serve) -> None:
    others = [{**JOB, "submission_id": "raysubmit_1"}, {**JOB, "submission_id": None, "type": "DRIVER"}]
    newer = {**JOB, "submission_id": "harness-big-aaaaaaaaaaaa", "start_time": 9}
    found = RayJobs("http://" + serve({"/api/version": (200, VERSION), "/api/jobs/": (200, [JOB, *others, newer])}))
    assert [job.id for job in found.all()] == ["harness-big-aaaaaaaaaaaa", JOB["submission_id"]]


@pytest.mark.parametrize("state", list(State))
def test_every_state_of_ray_is_known(serve: Serve, state: State) -> None:
    path = f"/api/jobs/{JOB['submission_id']}"
    jobs = RayJobs("http://" + serve({"/api/version": (200, VERSION), path: (200, {**JOB, "status": state.value})}))
    job = jobs.job(str(JOB["submission_id"]))
    assert job.state is state
    assert job.driver_exit_code == 3


def test_rays_states_are_exactly_ours() -> None:
    from ray.job_submission import JobStatus

    assert {status.value: status.is_terminal() for status in JobStatus} == {state: state.has_ended for state in State}


def test_a_job_that_the_cluster_has_forgotten_says_that_submitting_again_goes_on(serve: Serve) -> None:
    jobs = RayJobs("http://" + serve({"/api/version": (200, VERSION)}))
    with pytest.raises(JobGone, match="submit again to go on"):
        jobs.job("harness-tiny-0123456789ab")
