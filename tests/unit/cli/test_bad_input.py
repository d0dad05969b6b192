"""Bad input: one clear message on stderr, the exit code of the design, nothing on stdout, nothing created."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.cli.conftest import TINY, Harness

USAGE, UNREACHABLE, INTERRUPTED = 2, 4, 130

WORKLOADS = [
    ("seeds: 2", "sedes: 2", "tiny.yaml:5: unknown key 'sedes' in the file; did you mean 'seeds'?"),
    ("depth: 8", "depth: 21", "tiny.yaml:3: depth 21 is not 6n+2; nearest: 20, 26"),
    ("depth: 8", "depth: []", "tiny.yaml:3: matrix.depth is an empty list"),
    ("depth: 8", "depth: [8", "not valid YAML"),
    ("seeds: 2", "seeds: 2\nseeds: 3", "tiny.yaml:6: key 'seeds' is here for the second time, first in line 5"),
    ("seeds: 2", "seeds: 2\ndescription: !!bool zzz", "tiny.yaml:6: tag !!bool does not fit 'zzz'"),
    ("seeds: 2", 'seeds: 2\ndescription: "\\ud800"', "tiny.yaml:6: character U+D800 is not allowed"),
    ("seeds: 2", f"seeds: 2\ndescription: 0x{'f' * 3573}", "tiny.yaml:6: a number of 3,575 characters"),
    ("depth: 8", "depth: 600000000000000002", "tiny.yaml:3: matrix.depth is 600000000000000002; it must be at least 1"),
    ("depth: 8", "depth: 8, width: 4000000000", "tiny.yaml:3: matrix.width is 4000000000; it must be at least 1 and"),
    ("seeds: 2", "seeds: 2\nclaims: [plain-degrades]", "unknown claim 'plain-degrades'; did you mean 'plain-degrades-"),
]


@pytest.mark.parametrize("command", ["plan", "run"])
@pytest.mark.parametrize(("old", "new", "said"), WORKLOADS, ids=[new for _, new, _ in WORKLOADS])
def test_a_mistake_in_a_workload_file_is_one_message_and_exit_code_2(
    harness: Harness, folder: Path, command: str, old: str, new: str, said: str
) -> None:
    (folder / "tiny.yaml").write_text(TINY.replace(old, new))
    done = harness(command, "tiny.yaml")
    assert (done.code, done.out) == (USAGE, "")
    assert done.err.startswith("error: ")
    assert said in done.err
    assert "Traceback" not in done.err
    assert [path.name for path in folder.iterdir()] == ["tiny.yaml"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("plan", "missing.yaml"), "there is no workload file missing.yaml"),
        (("plan", "."), "is a folder"),
        (("plan", "/dev/zero"), "/dev/zero is a pipe or a device, which may never end"),
        (("plan", "tiny.yaml", "--tracking-uri", "nonsense"), "tracking URI 'nonsense'"),
        (("plan", "tiny.yaml", "--tracking-uri", "http://"), "names no host"),
        (("run", "tiny.yaml", "--trial-timeout", "soon"), "--trial-timeout is 'soon'; give a time above 0 such as 90s"),
        (("run", "tiny.yaml", "--trial-timeout", "0"), "--trial-timeout is '0'"),
        (("run", "tiny.yaml", "--trial-timeout", "9" * 400), "15m or 2h, 366d at most"),
        (("run", "tiny.yaml", "--stall-timeout", "400d"), "--stall-timeout is '400d'; give a time above 0"),
        (("run", "tiny.yaml", "--max-attempts", "0"), "--max-attempts"),
        (("run", "tiny.yaml", "--max-attempts", "1001"), "--max-attempts"),
        (("run", "tiny.yaml", "--launcher", "slurm"), "slurm"),
        (("run", "tiny.yaml", "--workers", "2"), "--workers"),
        (("run",), "FILE"),
        (("list", "model"), "models"),
        (("plna", "tiny.yaml"), "plna"),
        (("report",), "there is no database"),
        (("report", "digits-0000"), "there is no database"),
        (("ui",), "there is no database"),
        (("ui", "--port", "70000"), "65535"),
        (("sync",), "storage folder runs cannot be read"),
        (("sync", "."), "holds no sweep"),
    ],
)
def test_a_command_that_cannot_be_obeyed_is_one_message_and_exit_code_2(
    harness: Harness, folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = harness(*arguments)
    assert (done.code, done.out) == (USAGE, "")
    assert said in done.err
    assert "Traceback" not in done.err
    assert [path.name for path in folder.iterdir()] == ["tiny.yaml"]


@pytest.mark.parametrize("launcher", ["ray", "inline"])
def test_data_that_are_not_here_are_missed_before_anything_starts(
    harness: Harness, folder: Path, launcher: str
) -> None:
    (folder / "tiny.yaml").write_text(TINY.replace("digits", "cifar10"))
    done = harness("run", "tiny.yaml", "--launcher", launcher)
    assert (done.code, done.out) == (USAGE, "")
    assert done.err.startswith(f"error: {folder}/data holds no cifar10: looked for cifar-10-binary.tar.gz, ")
    assert done.err.endswith("`harness data fetch cifar10` downloads it\n")
    assert not list(folder.rglob("outbox.jsonl"))


def test_a_place_for_reports_that_is_none_is_told_before_anything_starts(harness: Harness, folder: Path) -> None:
    (folder / "file").write_text("")
    done = harness("run", "tiny.yaml", "--launcher", "inline", "--out", "file/reports")
    assert (done.code, done.out) == (USAGE, "")
    assert done.err.startswith(f"error: reports cannot be written to file/reports: {folder}/file is not a folder; name")
    assert not list(folder.rglob("outbox.jsonl"))


@pytest.mark.parametrize(
    "arguments", [("plan", "tiny.yaml"), ("report",), ("list", "sweeps")], ids=lambda arguments: arguments[0]
)
def test_a_tracking_server_that_does_not_answer_is_exit_code_4(harness: Harness, arguments: tuple[str, ...]) -> None:
    done = harness(*arguments, "--tracking-uri", "http://127.0.0.1:9")
    assert (done.code, done.out) == (UNREACHABLE, "")
    assert "http://127.0.0.1:9" in done.err
    assert "Traceback" not in done.err


def test_a_database_that_is_none_is_exit_code_4_and_is_left_alone(harness: Harness, folder: Path) -> None:
    (folder / "mlflow.db").write_text("no database, but a letter that matters")
    done = harness("plan", "tiny.yaml")
    assert (done.code, done.out) == (UNREACHABLE, "")
    assert (folder / "mlflow.db").read_text() == "no database, but a letter that matters"


def test_an_unexpected_error_is_a_message_that_says_how_to_see_more(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("deep inside")

    monkeypatch.setattr("harness.planning.plan.make_plan", fails)
    monkeypatch.setattr("harness.cli.plan.make_plan", fails)
    plain = harness("plan", "tiny.yaml")
    assert plain.code == 1
    assert "error: ZeroDivisionError: deep inside" in plain.err
    assert "HARNESS_DEBUG=1" in plain.err
    assert "Traceback" not in plain.err
    assert "Traceback" in harness("plan", "tiny.yaml", "--debug").err
    assert "Traceback" in harness("--debug", "plan", "tiny.yaml").err
    monkeypatch.setenv("HARNESS_DEBUG", "1")
    assert "Traceback" in harness("plan", "tiny.yaml").err


def test_debug_shows_where_a_users_own_mistake_was_found_too(harness: Harness) -> None:
    done = harness("plan", "missing.yaml", "--debug")
    assert done.code == USAGE
    assert "Traceback" in done.err
    assert done.err.splitlines()[-1].startswith("error: there is no workload file")


def start(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


def test_the_exit_code_is_the_process_status(folder: Path) -> None:
    process = start("plan", "missing.yaml")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (USAGE, b"")
    assert err.startswith(b"error: there is no workload file missing.yaml")


def test_a_reader_that_has_had_enough_is_no_error(folder: Path) -> None:
    with start("list", "models") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # before anything can be written: Python takes longer to start
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_a_full_disk_below_stdout_is_said(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "list", "models"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: stdout cannot be written: No space left on device")


def reads_its_stdin(process: subprocess.Popen[bytes]) -> bool:
    """Return whether the process has opened its stdin a second time, as a file."""
    handles = Path(f"/proc/{process.pid}/fd")
    files = []
    for handle in handles.iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            files.append(handle.readlink())
    return files.count((handles / "0").readlink()) == 2


def test_ctrl_c_is_exit_code_130_without_a_traceback(folder: Path) -> None:
    with start("plan", "/dev/stdin", stdin=subprocess.PIPE) as process:  # a workload file that never comes
        while process.poll() is None and not reads_its_stdin(process):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    assert process.returncode == INTERRUPTED


def test_a_user_whom_the_system_does_not_know_has_a_home_and_a_name_for_libraries(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise KeyError("getpwuid(): uid not found: 12345")

    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    done = harness("plan", "tiny.yaml")
    assert (done.code, done.err) == (0, "")
    assert os.environ["USER"] == f"user-{os.getuid()}"
    assert Path.home().is_dir()


def test_a_home_that_the_user_may_not_enter_holds_no_token(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may enter every folder, so the answer of the system is made up."""

    def refuse(path: Path, **_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setenv("HOME", "/home/another")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    monkeypatch.setattr(Path, "stat", refuse)
    done = harness("doctor", "--tracking-uri", "http://127.0.0.1:9")
    assert "a token is nowhere" in " ".join(done.out.split())
    assert "fault of the harness" not in done.err
