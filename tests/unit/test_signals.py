"""Signals: the first asks, a later one ends everything, at every moment."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from harness.errors import ClusterUnreachable, ExitCode, Stopped
from harness.signals import REPEAT_S, StopSignal

CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 5), (signal.SIGHUP, 5)]


@pytest.mark.parametrize(("number", "code"), CODES)
def test_the_first_signal_is_a_request_while_trials_run_and_leaves_its_exit_code(
    number: signal.Signals, code: int
) -> None:
    before = signal.getsignal(number)
    with StopSignal() as stop, stop.graceful():
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.wait(0)
        assert stop.exit_code == ExitCode(code)
    assert signal.getsignal(number) is before
    assert signal.set_wakeup_fd(-1) == -1, "nobody listens any more"


def test_before_trials_run_the_first_signal_ends_the_command() -> None:
    with pytest.raises(KeyboardInterrupt), StopSignal():
        signal.raise_signal(signal.SIGINT)
    for number in (signal.SIGTERM, signal.SIGHUP):
        with pytest.raises(Stopped), StopSignal():
            signal.raise_signal(number)


def test_a_hangup_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignal() as stop, stop.graceful():
            stop.listen()
            signal.raise_signal(signal.SIGHUP)
            assert not stop.is_set()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_that_a_shell_ignores_for_its_background_jobs_is_heeded() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignal() as stop, stop.graceful():
            signal.raise_signal(signal.SIGINT)
            assert stop.is_set()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_echo_of_the_first_signal_ends_nothing() -> None:
    program = (
        "import signal, time; from harness.signals import REPEAT_S, StopSignal\n"
        "with StopSignal() as stop, stop.graceful():\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    time.sleep(REPEAT_S)\n"
        "    print('still here', flush=True)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    time.sleep(60)\n"
        "    print('and here')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "still here\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_second_signal_ends_everything_also_while_a_library_blocks(number: signal.Signals) -> None:
    """A mutex that is locked twice blocks in C, where no signal interrupts it and no Python runs."""
    program = (
        "import ctypes, subprocess, sys; from harness.signals import StopSignal\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(64)\n"
        "with StopSignal():\n"
        "    libc.pthread_mutex_lock(mutex)\n"
        "    try:\n"
        "        print(child.pid, flush=True)\n"
        "    finally:\n"  # also if the first signal comes before the mutex blocks
        "        libc.pthread_mutex_lock(mutex)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        child = psutil.Process(int(process.stdout.readline()))
        os.kill(process.pid, number)
        assert "again ends everything" in process.stderr.readline()
        time.sleep(1.2 * REPEAT_S)
        os.kill(process.pid, number)
        assert process.wait(timeout=30) == dict(CODES)[number]
        child.wait(timeout=30)


def test_a_second_signal_ends_everything_also_while_nobody_reads_the_messages() -> None:
    program = (
        "import time; from harness.signals import StopSignal\n"
        "with StopSignal() as stop, stop.graceful():\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(600)"
    )
    read, write = os.pipe()
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, bytes(4096))
    os.set_blocking(write, True)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=write) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGTERM)
        time.sleep(1.2 * REPEAT_S)
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(timeout=30) == 5
    os.close(read)
    os.close(write)


def replace_handler_and_raise(number: signal.Signals) -> None:
    signal.signal(number, lambda received, _frame: sys.exit(received))
    signal.raise_signal(number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_handler_that_a_library_put_in_place_of_ours_changes_no_exit_code(number: signal.Signals) -> None:
    """Ray's ends Python with the number of the signal, from within `ray.init`, where nobody can listen again."""
    stop = StopSignal()
    with pytest.raises(Stopped), stop:
        replace_handler_and_raise(number)
    assert stop.exit_code == 5


def interrupt_a_library(number: signal.Signals) -> None:
    try:
        signal.raise_signal(number)
    except KeyboardInterrupt as interrupt:
        raise SystemError("returned a result with an exception set") from interrupt


@pytest.mark.parametrize(("number", "kind"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGHUP, Stopped)])
def test_an_error_that_a_library_makes_of_a_signal_counts_as_the_signal(
    number: signal.Signals, kind: type[BaseException]
) -> None:
    with pytest.raises(kind), StopSignal():
        interrupt_a_library(number)


def test_an_error_of_ours_after_a_signal_keeps_its_words() -> None:
    with pytest.raises(ClusterUnreachable, match="lost"), StopSignal() as stop, stop.graceful():
        raise_after_a_signal(ClusterUnreachable("the cluster was lost"))


def raise_after_a_signal(error: Exception) -> None:
    signal.raise_signal(signal.SIGINT)
    raise error


def test_an_exit_without_a_signal_stays_what_it_is() -> None:
    with pytest.raises(SystemExit, match="15"), StopSignal():
        sys.exit(signal.SIGTERM)


def test_a_thread_other_than_the_main_one_runs_without_signals() -> None:
    def enter() -> None:
        with StopSignal() as stop:
            stop.listen()
            entered.append(stop.is_set())

    entered: list[bool] = []
    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [False]
